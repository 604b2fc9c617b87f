"""Who acts by hand says who they are and why; both stay in the history."""

from __future__ import annotations

from typing import Final

from coordination.exceptions import InvalidArgument

REASON_LENGTH_MIN: Final = 10
REASON_LENGTH_MAX: Final = 500
"""What pages let people type; longer ones are not refused elsewhere."""


def require_actor(actor: str) -> None:
    """Raises InvalidArgument without an actor."""
    if not actor:
        raise InvalidArgument("an actor is needed: who does it?")


def require_reason(reason: object) -> None:
    """Raises InvalidArgument without a reason of at least `REASON_LENGTH_MIN` characters."""
    if not isinstance(reason, str) or len(reason.strip()) < REASON_LENGTH_MIN:
        raise InvalidArgument(
            f"a reason of at least {REASON_LENGTH_MIN} characters is needed, not {reason!r:.80}: "
            "it stays in the history."
        )
