"""Who may have a lock next: the one rule, for every store that decides in Python. Pure.

The queue is served from its head alone, so nobody who comes late gets in between, and a writer is
not starved by readers who come behind it. `stores/common.lua` and the SQL functions say the same.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from coordination.locks.types import Mode


class Claim(Protocol):
    """Somebody who holds or waits."""

    @property
    def mode(self) -> Mode:
        """How."""

    @property
    def limit(self) -> int:
        """How many may hold it at once (PERMIT), or have to come (PARTY)."""


def admitted(queue: Sequence[Claim], holders: Iterable[Claim]) -> int:
    """How many, counted from the head of the queue, may have it now beside its `holders`.

    Both are of the living only: whoever stopped asking or lost its lease is not among them.
    """
    held = list(holders)
    count = 0
    while count < len(queue):
        coming = _next(queue[count:], held)
        if not coming:
            break
        held += queue[count : count + coming]
        count += coming
    return count


def _next(queue: Sequence[Claim], held: Sequence[Claim]) -> int:
    """How many come in together, with the head of the queue."""
    head = queue[0]
    if head.mode is Mode.PARTY:
        # Whoever was let go before is of no account: the barrier may be used again at once.
        return head.limit if len(queue) >= head.limit else 0
    return 1 if compatible(head, held) else 0


def compatible(claim: Claim, held: Sequence[Claim]) -> bool:
    """Whether one, not a PARTY, may have it beside those who hold it."""
    match claim.mode:
        case Mode.SHARED:
            return all(each.mode is Mode.SHARED for each in held)
        case Mode.PERMIT:
            return len(held) < claim.limit
    return not held
