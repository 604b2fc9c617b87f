"""Error replies of Redis as errors of ours."""

import re

from coordination.exceptions import CoordinationError, NotSupportedByStore, StoreUnavailable

# Redis says these before it runs the command: busy, starting, full, read-only or locked for us.
_NOT_SERVING = frozenset(
    {
        *("LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "READONLY", "OOM"),
        *("MISCONF", "NOREPLICAS", "NOAUTH", "WRONGPASS", "NOPERM"),
    }
)

# Redis 6.2 wraps what a script's command was refused with: "ERR Error running script …: -OOM …".
_INSIDE_SCRIPT = re.compile(r"^ERR Error running script .*: -([A-Z]+) ")


class RedisReplyError(CoordinationError):
    """Redis answered with an error."""

    def __init__(self, message: str, *, store: str | None = None) -> None:
        super().__init__(message, store=store, reason=message)
        inside = _INSIDE_SCRIPT.search(message)
        self.word = inside[1] if inside else message.partition(" ")[0]
        """Redis's own word for the error, e.g. ``WRONGTYPE``."""


def translate_reply(error: RedisReplyError, alias: str) -> CoordinationError:
    """Return the error of ours for an error reply; none of them applied the command."""
    text = str(error)
    if error.word in _NOT_SERVING or "max number of clients" in text:
        return StoreUnavailable(f"Redis store {alias!r} refused: {text}", store=alias, reason=text)
    if text.startswith("ERR unknown command"):
        return NotSupportedByStore(
            f"Redis store {alias!r} is too old (6.2 is needed): {text}", store=alias, reason=text
        )
    return RedisReplyError(text, store=alias)
