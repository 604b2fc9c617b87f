"""Who waits for whom, and which waits can never end. Pure.

Nodes are contexts (a task, a thread): owners are only names. A lock is waited for until *all* who
are in its way have gone, a permit of a semaphore until *enough* of them have.

A context is in the way of a waiter if it holds what he waits for, or is before him in the queue,
since the queue is served in order.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from coordination.locks import graph
from coordination.locks.graph import Need
from coordination.locks.types import Claimant, LockInfo, Mode, Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """One request that waits, and the contexts that are in its way."""

    id: str
    context: str
    owner: str
    store: str
    resource: Resource
    since: datetime
    waited: timedelta
    """By the clock of its store."""
    need: Need
    """The contexts that have to go first."""


@dataclass(frozen=True, slots=True)
class Deadlocked:
    """A cycle of waits, each for the context of the next, the last for the first's."""

    waits: tuple[Wait, ...]

    @property
    def victim(self) -> Wait:
        """The one that gives way: the youngest, and the same for everybody who looks."""
        return min(self.waits, key=lambda wait: (wait.waited, wait.id))

    @property
    def ids(self) -> frozenset[str]:
        """The requests of which it is made."""
        return frozenset(wait.id for wait in self.waits)

    def told(self) -> str:
        """The cycle in words."""
        others = (*self.waits[1:], self.waits[0])
        return "; ".join(
            f"{wait.context} waits for {wait.resource} on {wait.store} behind {other.context}"
            for wait, other in zip(self.waits, others, strict=True)
        )

    def as_json(self) -> list[dict[str, str]]:
        """The cycle as the history keeps it."""
        others = (*self.waits[1:], self.waits[0])
        return [
            {
                "context": wait.context,
                "owner": wait.owner,
                "waits_for": f"{wait.store} {wait.resource.kind} {wait.resource.name}",
                "held_by": other.context,
                "since": wait.since.isoformat(),
            }
            for wait, other in zip(self.waits, others, strict=True)
        ]


def waits(seen: Iterable[LockInfo]) -> list[Wait]:
    """Every wait there is."""
    return [_wait(info, place) for info in seen for place in range(len(info.waiters))]


def deadlocks(found: Sequence[Wait], *, older_than: timedelta) -> list[Deadlocked]:
    """Cycles of waits that can never end, each wait of which lasts for `older_than` already."""
    stuck = _stuck(found)
    old = {context: wait for context, wait in stuck.items() if wait.waited >= older_than}
    onward = {context: wait.need.nodes.intersection(old) for context, wait in old.items()}
    return [Deadlocked(tuple(old[each] for each in cycle)) for cycle in graph.cycles(onward)]


def _wait(info: LockInfo, place: int) -> Wait:
    waiter = info.waiters[place]
    ahead = {each.context for each in info.waiters[:place] if _conflict(waiter, each)}
    holders = [each for each in info.holders if each.id != waiter.id]
    permits = waiter.mode is Mode.PERMIT
    return Wait(
        id=waiter.id,
        context=waiter.context,
        owner=waiter.owner,
        store=info.store,
        resource=info.resource,
        since=waiter.since,
        waited=info.at - waiter.since,
        need=Need(
            all_of=frozenset(
                ahead
                if permits
                else ahead.union(each.context for each in holders if _conflict(waiter, each))
            ),
            some_of=tuple(each.context for each in holders) if permits else (),
            enough=max(0, len(holders) - waiter.limit + 1) if permits else 0,
        ),
    )


def _conflict(one: Claimant, other: Claimant) -> bool:
    """Whether one has to wait for the other to go."""
    # Who comes to a barrier waits for those who have not come: nobody can be named.
    if Mode.PARTY in (one.mode, other.mode):
        return False
    return not (one.mode is Mode.SHARED and other.mode is Mode.SHARED)


def _stuck(found: Sequence[Wait]) -> Mapping[str, Wait]:
    """By context, a wait that can never end."""
    own: dict[str, list[Wait]] = {}
    for wait in found:
        own.setdefault(wait.context, []).append(wait)
    left = graph.stuck({context: [wait.need for wait in some] for context, some in own.items()})
    return {
        context: next(wait for wait in own[context] if not wait.need.ends(left)) for context in left
    }
