"""What asking for a resource came to, before it is a grant."""

from typing import NamedTuple, Protocol

from coordination.locks.types import Held, Waiting


class Taken(NamedTuple):
    """It is held."""

    held: Held
    sent_at: float
    """Monotonic time that is not later than the beginning of its lease."""
    claim: "Claim | None" = None
    """It was handed over, and the store has yet to answer that it heard of this."""


class Asked(NamedTuple):
    """It is waited for: the last answer, and the monotonic time before the question was sent."""

    answer: Waiting
    sent_at: float


class Claim(Protocol):
    """This process's word that it lives, under way to the store while the work has begun."""

    def answer(self, *, patience_s: float) -> Taken | None:
        """The whole lease, or None when no such answer came in time. To be called once."""
