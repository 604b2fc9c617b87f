"""The rules that values of COORDINATION keep: each returns the value or raises SettingsFault.

`where` is the path of what is looked at, for the message.
"""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from coordination.exceptions import InvalidArgument
from coordination.kernel.durations import to_ms
from coordination.kernel.envelopes import SECRET_CHARS_MIN
from coordination.kernel.names import NODE_PATTERN
from coordination.kernel.nearest import unknown_message


class SettingsFault(ValueError):
    """COORDINATION is not valid; the message names the key, the value and the rule."""


def keys(raw: object, where: str) -> Mapping[str, str]:
    """Ids of keys and their secrets, the first of which signs."""
    # Whatever is wrong, no secret is told.
    if not isinstance(raw, Mapping) or not raw:
        raise SettingsFault(f"{where} must be a dict of at least one key: its id and its secret.")
    for key, secret in raw.items():
        if not isinstance(key, str) or not key.isprintable() or not key:
            raise SettingsFault(f"{where}: the id of a key is printable text, not {key!r:.40}.")
        if not isinstance(secret, str) or len(secret) < SECRET_CHARS_MIN:
            raise SettingsFault(
                f"{where}[{key!r}] must be a secret of at least {SECRET_CHARS_MIN} characters."
            )
    return MappingProxyType(dict(raw))


def table(raw: object, where: str, known: Sequence[str]) -> Mapping[str, object]:
    """A dict whose every key is one of `known`."""
    if not isinstance(raw, Mapping):
        raise SettingsFault(f"{where} must be a dict, not {raw!r:.80}.")
    for key in raw:
        require_known("key", key, known, where)
    return raw


def require_known(what: str, word: object, known: Collection[str], where: str) -> None:
    """Name the nearest known word where this one is not known."""
    if not isinstance(word, str) or word not in known:
        raise SettingsFault(f"{where}: {unknown_message(what, word, known)}")


def text(table: Mapping[str, object], key: str, default: str | None, where: str) -> str:
    """A text that is not empty; without a `default` it has to be there."""
    value = table.get(key, default)
    if not isinstance(value, str) or not value:
        needed = "is needed" if key not in table else f"must be a str, not {value!r:.80}"
        raise SettingsFault(f"{where}[{key!r}] {needed}.")
    return value


def texts(raw: object, where: str) -> tuple[str, ...]:
    """A list of texts, none of them empty."""
    if not isinstance(raw, list | tuple) or not all(isinstance(item, str) and item for item in raw):
        raise SettingsFault(f"{where} must be a list of str, not {raw!r:.80}.")
    return tuple(raw)


def tuples(raw: object, where: str, size: int) -> list[tuple[str, tuple[str, ...]]]:
    """Tuples of so many texts, each with its own path."""
    if not isinstance(raw, list | tuple):
        raise SettingsFault(f"{where} must be a list of tuples, not {raw!r:.80}.")
    found = []
    for index, item in enumerate(raw):
        texts = isinstance(item, list | tuple) and all(isinstance(part, str) for part in item)
        if not texts or len(item) != size:
            raise SettingsFault(f"{where}[{index}] must be {size} str, not {item!r:.80}.")
        found.append((f"{where}[{index}]", tuple(item)))
    return found


def node(value: object, where: str) -> str:
    """The name of a service."""
    if not isinstance(value, str) or NODE_PATTERN.fullmatch(value) is None:
        raise SettingsFault(
            f"{where}: a node is 1 to 16 of a-z, 0-9 and '-', not starting with '-'; "
            f"not {value!r:.80}."
        )
    return value


def duration(
    table: Mapping[str, object], key: str, default_s: int, where: str, *, zero: bool = False
) -> int:
    """Milliseconds, of seconds or a timedelta."""
    try:
        return to_ms(table.get(key, default_s), what=f"{where}[{key!r}]", zero=zero)
    except InvalidArgument as fault:
        raise SettingsFault(str(fault)) from None


def count(table: Mapping[str, object], key: str, default: int, where: str) -> int:
    """A whole number of at least 1."""
    value = table.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise SettingsFault(f"{where}[{key!r}] must be an int of at least 1, not {value!r:.80}.")
    return value


def flag(table: Mapping[str, object], key: str, *, default: bool, where: str) -> bool:
    """True or False."""
    value = table.get(key, default)
    if not isinstance(value, bool):
        raise SettingsFault(f"{where}[{key!r}] must be True or False, not {value!r:.80}.")
    return value


def safe(location: str) -> str:
    """A location without what may be a password."""
    return repr(location.rpartition("@")[2][:80])
