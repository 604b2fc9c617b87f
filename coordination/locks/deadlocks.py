"""Who waits for whom, and which waits can never end. Pure.

Nodes are contexts (a task, a thread): owners are only names. A lock is waited for until *all* who
are in its way have gone, a permit of a semaphore until *enough* of them have; so a cycle alone is
no proof. What is stuck is what remains when everybody who can go on has gone (the reduction of
wait-for graphs of Holt, "Some Deadlock Properties of Computer Systems", 1972).

A context is in the way of a waiter if it holds what he waits for, or is before him in the queue,
since the queue is served in order.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

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
    all_of: frozenset[str]
    """Contexts that all have to go first."""
    some_of: tuple[str, ...] = ()
    """Contexts of holders of permits: `enough` of these have to go, too."""
    enough: int = 0

    @property
    def in_the_way(self) -> frozenset[str]:
        """Every context it may have to wait for."""
        return self.all_of.union(self.some_of)


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
    return [Deadlocked(cycle) for cycle in _cycles(old)]


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
        all_of=frozenset(
            ahead
            if permits
            else ahead.union(each.context for each in holders if _conflict(waiter, each))
        ),
        some_of=tuple(each.context for each in holders) if permits else (),
        enough=max(0, len(holders) - waiter.limit + 1) if permits else 0,
    )


def _conflict(one: Claimant, other: Claimant) -> bool:
    """Whether one has to wait for the other to go."""
    # Who comes to a barrier waits for those who have not come: nobody can be named.
    if Mode.PARTY in (one.mode, other.mode):
        return False
    return not (one.mode is Mode.SHARED and other.mode is Mode.SHARED)


def _stuck(found: Sequence[Wait]) -> Mapping[str, Wait]:
    """By context, a wait that can never end: what remains when all who can go on have gone."""
    left: dict[str, list[Wait]] = {}
    for wait in found:
        left.setdefault(wait.context, []).append(wait)
    while True:
        going = [
            context for context, own in left.items() if all(_can_end(wait, left) for wait in own)
        ]
        if not going:
            break
        for context in going:
            del left[context]
    return {
        context: next(wait for wait in own if not _can_end(wait, left))
        for context, own in left.items()
    }


def _can_end(wait: Wait, waiting: Mapping[str, object]) -> bool:
    if any(context in waiting for context in wait.all_of):
        return False
    free = sum(context not in waiting for context in wait.some_of)
    return free >= wait.enough


def _cycles(stuck: Mapping[str, Wait]) -> list[tuple[Wait, ...]]:
    """Cycles that share no context, each told from its least context."""
    cycles: list[tuple[Wait, ...]] = []
    done: set[str] = set()
    for start in sorted(stuck):
        path: list[str] = []
        context: str | None = start
        while context is not None and context not in done and context not in path:
            path.append(context)
            # Any way round will do: whoever is stuck waits for somebody who is.
            context = min(stuck[context].in_the_way.intersection(stuck), default=None)
        if context in path:
            cycle = path[path.index(context) :]
            turn = cycle.index(min(cycle))
            cycles.append(tuple(stuck[each] for each in cycle[turn:] + cycle[:turn]))
        done.update(path)
    return cycles
