"""What RabbitMQ cannot keep of a message, kept by its id in the project's DEFAULT store: attempts,
errors, and that it is done. Also what queues were declared to be.

RabbitMQ's own count of deliveries counts those that nobody began, is lost when a message is
published anew, and an ack has no reply. Here each attempt is counted before its body, and an ack
that RabbitMQ never heard of is remembered: the message it delivers again is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from coordination.queues.types import Declaration, Verb

ATTEMPTS_KEPT_MS = 14 * 86_400_000
"""How long attempts are remembered after the last one: they begin anew then."""
DONE_KEPT_MS = 15 * 60_000
"""How long it is remembered that a message is done: far longer than a lost ack takes to show."""


class Fate(StrEnum):
    """What is to become of a message that was delivered."""

    BEGUN = "begun"
    DONE = "done"
    """It was done before: only its ack was lost, or it was published twice."""
    DEAD = "dead"
    """It had its last attempt. A suspect: its takers vanished with it."""


class Begun(NamedTuple):
    """What the ledger says of one delivered message."""

    fate: Fate
    attempts: int
    suspect: bool
    error: str


class Mark(NamedTuple):
    """What became of one attempt."""

    id: str
    attempt: int
    taker: str
    """The op that took it."""
    verb: Verb
    error: str = ""
    due_ms: int = 0
    """Since 1970: when it is ready again, of a retry with a delay."""


class Ledger(Protocol):
    """All raise StoreUnavailable (not applied) or OutcomeUnknown; the same op may ask again."""

    def declare(self, queue: Declaration, *, replace: bool) -> Declaration:
        """What the queue is by the first who said so."""

    def names(self) -> list[str]:
        """Queues that were declared, in order."""

    def begin(
        self, queue: str, ids: Sequence[str], *, op: str, most: int, deadline_ms: int | None
    ) -> list[Begun]:
        """Count an attempt of each, as far as one that is a suspect, which begins alone.

        `most`: attempts after which a message whose taker said nothing is dead; 0: never. The
        answer is as long as what was come to.
        """

    def settle(
        self, queue: str, marks: Sequence[Mark], *, op: str, deadline_ms: int | None
    ) -> list[bool]:
        """Note what became of attempts; False where another attempt began, or it was settled."""

    def end(self, queue: str, ids: Sequence[str], *, op: str) -> None:
        """They are done, or gone elsewhere."""

    def forget(self, queue: str, ids: Sequence[str]) -> None:
        """Their attempts begin anew."""

    def delayed(self, queue: str) -> int:
        """How many wait for another attempt."""
