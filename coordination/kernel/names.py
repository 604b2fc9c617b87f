"""The rules for names, aliases and nodes."""

import re
from functools import lru_cache

from coordination.exceptions import InvalidName

NAME_BYTES_MAX = 200

NODE_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]{0,15}")
"""A node's name starts every gid and queue name, so it is short and plain."""

# Braces choose a Redis hash slot; the others are wildcards of KEYS, ACL rules and routes.
_RESERVED = frozenset("{}*?[]\\")


def validate_name(name: object, *, what: str = "name") -> str:
    """Return ``name`` when it obeys the rules for names.

    A name is 1 to 200 bytes of UTF-8: printable, without spaces and without ``{ } * ? [ ] \\``.

    Raises:
        InvalidName: it does not; the message names the value and the rule.
    """
    if not isinstance(name, str):
        raise InvalidName(f"{what} must be a str, not {type(name).__name__}: {name!r:.80}.")
    fault = _fault(name)
    if fault is not None:
        raise InvalidName(f"{what} {name[:80]!r} {fault}.", name=name[:NAME_BYTES_MAX])
    return name


@lru_cache(maxsize=4096)
def _fault(name: str) -> str | None:
    if not name:
        return "is empty"
    if not name.isprintable() or " " in name:
        return "holds a space or an unprintable character"
    if len(name.encode()) > NAME_BYTES_MAX:
        return f"is {len(name.encode())} bytes long; at most {NAME_BYTES_MAX} are allowed"
    reserved = sorted(_RESERVED.intersection(name))
    if reserved:
        return f"holds the reserved character {reserved[0]!r}"
    return None
