"""Who is called by HTTP, and who may call: HTTP_PARTICIPANTS and HTTP_CALLERS of COORDINATION."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from coordination.kernel.settings import HttpCaller, HttpService
from coordination.kernel.settings_rules import (
    SettingsFault,
    duration,
    flag,
    keys,
    node,
    table,
    text,
    texts,
)

TIMEOUT_S = 5
_URL = re.compile(r"[!-~]+")
_KEY_ID = re.compile(r"[!-~]{1,100}")
"""What a header may hold as it is."""


def http_participants(raw: object, root: str) -> tuple[tuple[str, HttpService], ...]:
    """Patterns of names with the service that is called for each, in the order of the dict."""
    where = f"{root}['HTTP_PARTICIPANTS']"
    if not isinstance(raw, Mapping):
        raise SettingsFault(f"{where} must be a dict of name patterns, not a {type(raw).__name__}.")
    return tuple((_pattern(key, where), _service(raw[key], f"{where}[{key!r}]")) for key in raw)


def http_callers(raw: object, root: str, *, own: str) -> Mapping[str, HttpCaller]:
    """Nodes that may call participants of the node `own`."""
    where = f"{root}['HTTP_CALLERS']"
    if not isinstance(raw, Mapping):
        raise SettingsFault(f"{where} must be a dict of nodes, not a {type(raw).__name__}.")
    callers = {node(key, where): _caller(raw[key], f"{where}[{key!r}]") for key in raw}
    if own in callers:
        raise SettingsFault(f"{where} names {own!r}, which is this node itself.")
    return MappingProxyType(callers)


def _pattern(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise SettingsFault(f"{where}: a pattern of names is a str, not {value!r:.80}.")
    return value


def _service(raw: object, where: str) -> HttpService:
    options = table(raw, where, ("URL", "KEYS", "TIMEOUT", "CA", "PLAIN_HTTP"))
    return HttpService(
        url=_url(options, where),
        keys=_keys(options, where),
        timeout_ms=duration(options, "TIMEOUT", TIMEOUT_S, where),
        ca=text(options, "CA", None, where) if "CA" in options else None,
    )


def _caller(raw: object, where: str) -> HttpCaller:
    options = table(raw, where, ("KEYS", "PARTICIPANTS"))
    patterns = texts(options.get("PARTICIPANTS", ()), f"{where}['PARTICIPANTS']")
    if not patterns:
        raise SettingsFault(
            f"{where}['PARTICIPANTS'] must name what this node may call: a list of name patterns."
        )
    return HttpCaller(keys=_keys(options, where), participants=patterns)


def _keys(options: Mapping[str, object], where: str) -> Mapping[str, str]:
    where = f"{where}['KEYS']"
    found = keys(options.get("KEYS"), where)
    for key in found:
        if _KEY_ID.fullmatch(key) is None:
            raise SettingsFault(
                f"{where}: the id of a key goes into a header: 1 to 100 of ASCII's printable "
                f"characters without spaces, not {key!r:.40}."
            )
    return found


def _url(options: Mapping[str, object], where: str) -> str:
    url = text(options, "URL", None, where)
    plain = flag(options, "PLAIN_HTTP", default=False, where=where)
    where = f"{where}['URL']"
    try:
        parts = urlsplit(url)
        valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise SettingsFault(f"{where} is no URL.") from None
    if _URL.fullmatch(url) is None or not valid or parts.scheme not in ("https", "http"):
        raise SettingsFault(f"{where} must be an https:// URL, its host and path in ASCII.")
    if parts.username is not None or parts.fragment:
        # The message spells neither out: the first may be a secret.
        raise SettingsFault(f"{where} must hold no user, no password and no fragment.")
    if parts.scheme == "http" and not plain:
        raise SettingsFault(
            f"{where} is not https://. Signatures say who asks and answers, but anybody on the way "
            "could read what; if the way is safe, set 'PLAIN_HTTP': True beside it."
        )
    return url
