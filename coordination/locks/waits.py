"""Who waits for whom, and which waits can never end. Pure.

The nodes are contexts: lines of execution, each of which waits for at most one thing. A waiter for
a lock needs every holder in its way to leave; a waiter for a permit of a semaphore needs any one.
So a cycle alone is not yet a deadlock: one whose waits can end through somebody outside it is not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from coordination.locks.machine import compatible
from coordination.locks.types import Mode

STARTS = 20
"""From so many contexts of a group a cycle is looked for: more would cost their square."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """Somebody who holds a name or waits for it."""

    context: str
    owner: str
    mode: Mode
    limit: int = 1
    since: datetime | None = None
    token: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contended:
    """One name that somebody waits for; waiters in the order of its queue."""

    key: str
    name: str
    holders: Sequence[Contender]
    waiters: Sequence[Contender]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One wait. With `any_of`, it ends as soon as any of the waiter's edges for this key does."""

    waiter: str
    holder: str
    key: str
    name: str
    waiter_owner: str
    holder_owner: str
    since: datetime | None
    """Since when it waits."""
    token: int | None
    """The holder's; None when the one in the way waits itself, further ahead in the queue."""
    any_of: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """Contexts that wait for each other for ever, each for the next, the last for the first."""

    edges: tuple[Edge, ...]

    @property
    def contexts(self) -> tuple[str, ...]:
        """In the order of waiting."""
        return tuple(edge.waiter for edge in self.edges)


def edges(records: Iterable[Contended]) -> tuple[Edge, ...]:
    """Every wait. Whoever waits at a barrier waits for someone unknown, and has none."""
    return tuple(edge for record in records for edge in _edges_of(record))


def stuck(waits: Iterable[Edge]) -> frozenset[str]:
    """The contexts that can never go on unless somebody intervenes.

    Everybody who waits, less those whose wait can end, again and again until nobody is left whose
    wait can.
    """
    needs = _needs(waits)
    left = set(needs)
    waiting_for: dict[str, set[str]] = {}
    for context, wanted in needs.items():
        for targets, _ in wanted:
            for target in targets:
                waiting_for.setdefault(target, set()).add(context)
    to_look_at = set(left)
    while to_look_at:
        context = to_look_at.pop()
        if not any(_hopeless(targets, any_of, left) for targets, any_of in needs[context]):
            left.discard(context)
            to_look_at |= waiting_for.get(context, set()) & left
    return frozenset(left)


def cycles(waits: Sequence[Edge]) -> tuple[Cycle, ...]:
    """One short cycle of each group of contexts that wait for each other for ever."""
    held_up = stuck(waits)
    among = [edge for edge in waits if edge.waiter in held_up and edge.holder in held_up]
    onward: dict[str, list[Edge]] = {}
    for edge in sorted(among, key=lambda edge: (edge.waiter, edge.holder, edge.key)):
        onward.setdefault(edge.waiter, []).append(edge)
    return tuple(
        Cycle(edges=path)
        for group in _components(onward)
        if (path := _shortest(sorted(group), onward)) is not None
    )


def behind(waits: Iterable[Edge], found: Iterable[Cycle]) -> frozenset[str]:
    """The contexts that are in no cycle and yet cannot go on before one of them is ended."""
    return stuck(waits) - {context for cycle in found for context in cycle.contexts}


def _edges_of(record: Contended) -> Iterator[Edge]:
    ahead: list[Contender] = []
    for waiter in record.waiters:
        if waiter.mode is Mode.PARTY:
            continue
        in_the_way = _in_the_way(waiter, record.holders)
        if not in_the_way:
            # The queue is served from its head: the next ahead who cannot go on is in the way.
            in_the_way = [each for each in reversed(ahead) if not compatible(waiter, [each])][:1]
        ahead.append(waiter)
        for blocker in in_the_way:
            yield Edge(
                waiter=waiter.context,
                holder=blocker.context,
                key=record.key,
                name=record.name,
                waiter_owner=waiter.owner,
                holder_owner=blocker.owner,
                since=waiter.since,
                token=blocker.token,
                any_of=waiter.mode is Mode.PERMIT and len(in_the_way) > 1,
            )


def _in_the_way(waiter: Contender, holders: Sequence[Contender]) -> list[Contender]:
    if waiter.mode is Mode.PERMIT:
        return [] if compatible(waiter, holders) else list(holders)
    return [each for each in holders if not compatible(waiter, [each])]


Need = tuple[frozenset[str], bool]


def _needs(waits: Iterable[Edge]) -> Mapping[str, list[Need]]:
    """What each context waits for: whom, and whether any one of them would do."""
    grouped: dict[tuple[str, str, bool], set[str]] = {}
    for edge in waits:
        grouped.setdefault((edge.waiter, edge.key, edge.any_of), set()).add(edge.holder)
    needs: dict[str, list[Need]] = {}
    for (waiter, _, any_of), targets in grouped.items():
        needs.setdefault(waiter, []).append((frozenset(targets), any_of))
    return needs


def _hopeless(targets: frozenset[str], any_of: bool, left: set[str]) -> bool:
    return targets <= left if any_of else not targets.isdisjoint(left)


def _components(onward: Mapping[str, Sequence[Edge]]) -> Iterator[set[str]]:
    """Strongly connected components (Tarjan), without recursion: a queue may be long."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    open_ones: list[str] = []
    done: set[str] = set()
    for root in sorted(onward):
        if root in index:
            continue
        index[root] = low[root] = len(index)
        open_ones.append(root)
        work = [(root, iter(onward.get(root, ())))]
        while work:
            context, rest = work[-1]
            edge = next(rest, None)
            if edge is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[context])
                if low[context] == index[context]:
                    at = open_ones.index(context)
                    group = set(open_ones[at:])
                    del open_ones[at:]
                    done |= group
                    yield group
            elif edge.holder not in index:
                index[edge.holder] = low[edge.holder] = len(index)
                open_ones.append(edge.holder)
                work.append((edge.holder, iter(onward.get(edge.holder, ()))))
            elif edge.holder not in done:
                low[context] = min(low[context], index[edge.holder])


def _shortest(
    group: Sequence[str], onward: Mapping[str, Sequence[Edge]]
) -> tuple[Edge, ...] | None:
    """The shortest cycle through one of the first few of a group; None when it has none."""
    inside = set(group)
    found = (_back_to(start, inside, onward) for start in group[:STARTS])
    return min((path for path in found if path is not None), key=len, default=None)


def _back_to(
    start: str, inside: set[str], onward: Mapping[str, Sequence[Edge]]
) -> tuple[Edge, ...] | None:
    came_by: dict[str, Edge] = {}
    front = deque([start])
    while front:
        context = front.popleft()
        for edge in onward.get(context, ()):
            if edge.holder == start:
                return _path(start, edge, came_by)
            if edge.holder in inside and edge.holder not in came_by:
                came_by[edge.holder] = edge
                front.append(edge.holder)
    return None


def _path(start: str, last: Edge, came_by: Mapping[str, Edge]) -> tuple[Edge, ...]:
    path = [last]
    while path[-1].waiter != start:
        path.append(came_by[path[-1].waiter])
    return tuple(reversed(path))
