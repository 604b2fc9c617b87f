"""With which token something is written: checked before anything is sent."""

from enum import Enum
from typing import Final, Literal, Protocol

from coordination.exceptions import InvalidArgument

TOKEN_MAX = 2**53 - 1
REMEDY = "pass the grant of the lock that guards it, or UNFENCED to write without a comparison"


class Way(Enum):
    """How something is written that no token speaks for."""

    UNFENCED = "UNFENCED"
    """By the caller's explicit word."""
    RAW = "RAW"
    """By `loaddata`: the row comes with the token it had when it was dumped."""

    def __repr__(self) -> str:
        return self.value


UNFENCED: Final = Way.UNFENCED
"""Write without comparing tokens; the token that stands stays."""


class Holding(Protocol):
    """What `lock(…).acquire()` returns, as far as it matters here."""

    @property
    def token(self) -> int: ...

    def ensure_held(self) -> None:
        """Raise LockLost unless this process may still rely on it."""


Token = Holding | int | Literal[Way.UNFENCED]
"""What users pass."""
Fence = int | Way
"""What is compared."""


def fence_of(token: Token | None, *, what: str) -> int | Literal[Way.UNFENCED]:
    """The number to compare, or UNFENCED.

    Raises InvalidArgument for what is no token, LockLost for a grant that is lost already.
    """
    if token is None:
        raise InvalidArgument(f"{what} needs a token: {REMEDY}.")
    if token is Way.UNFENCED:
        return Way.UNFENCED
    if isinstance(token, int):
        return _number(token, what)
    if not hasattr(token, "ensure_held") or not hasattr(token, "token"):
        hint = "one of its .tokens" if hasattr(token, "tokens") else "a grant, its token"
        raise InvalidArgument(f"{what} takes {hint} or UNFENCED, not {token!r:.80}.")
    token.ensure_held()
    return _number(token.token, what)


def _number(token: int, what: str) -> int:
    if isinstance(token, bool) or not 0 < token <= TOKEN_MAX:
        raise InvalidArgument(f"{what} takes a token from 1 to 2^53-1, not {token!r:.80}.")
    return token
