"""Holds of queues: room that is kept for what an undecided transaction may publish."""

from collections.abc import Callable, Sequence
from typing import Protocol

from coordination.exceptions import QueueFull, QueuePaused
from coordination.kernel.holds import HoldState, Kept
from coordination.queues.types import Declaration, Outgoing


class QueueHolds(Protocol):
    """Holds in the queues of one store, each named by the branch it is kept for.

    Every verb may be repeated, with the same messages, and raises StoreUnavailable or
    OutcomeUnknown. A hold counts towards a queue's bound; nobody takes it, and no purge, pause or
    redeclaration that comes between touches it.
    """

    def hold(
        self,
        queue: Declaration,
        batch: Sequence[Outgoing],
        *,
        branch: str,
        remaining_ms: Callable[[], int],
    ) -> HoldState:
        """Keep room for `batch`; nothing is kept once `remaining_ms` has come to 0, nor after a
        cancel. Raises QueueFull, QueuePaused."""

    def apply(self, queue: Declaration, batch: Sequence[Outgoing], *, branch: str) -> HoldState:
        """Publish what room was held for: APPLIED, once. CANCELLED or GONE: nothing was published.

        Delays and lives begin now; a pause is no obstacle.
        """

    def cancel(self, queue: Declaration, batch: Sequence[Outgoing], *, branch: str) -> HoldState:
        """Let go of it, and of one that comes later: CANCELLED. APPLIED: it was published."""

    def forget(self, queue: Declaration, *, branch: str) -> None:
        """That it was applied is remembered elsewhere from now on."""

    def kept(self) -> list[Kept]:
        """Every hold of the store. It looks through all there is: for operators."""


def refusal(said: str, queue: Declaration, *, store: str) -> QueueFull | QueuePaused:
    """The error of a store that says "full" or "paused"."""
    if said == "paused":
        return QueuePaused(
            f"Queue {queue.name!r}: publishing is paused; nothing was published.",
            name=queue.name,
            store=store,
        )
    return QueueFull(
        f"Queue {queue.name!r} holds {queue.max_length} messages, its max_length, or would hold "
        "more with what open transactions may publish; nothing was published.",
        name=queue.name,
        store=store,
    )
