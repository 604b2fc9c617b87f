"""Who waits for whom as it is drawn: each wait as one edge to each that is next in its way. Pure.

The nodes are contexts: lines of execution, each of which waits for at most one thing. A waiter for
a lock needs every holder in its way to leave; a waiter for a permit of a semaphore needs any one.
`deadlocks` decides by what the stores say; this says by the records where it would look.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from coordination.locks import graph
from coordination.locks.graph import Need
from coordination.locks.machine import compatible
from coordination.locks.types import Mode


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
    """The contexts that can never go on unless somebody intervenes."""
    return graph.stuck(_needs(waits))


def cycles(waits: Sequence[Edge]) -> tuple[Cycle, ...]:
    """Cycles of contexts that wait for each other for ever, one at least of each such group."""
    held_up = stuck(waits)
    between: dict[tuple[str, str], Edge] = {}
    onward: dict[str, set[str]] = {}
    for edge in sorted(waits, key=lambda edge: edge.key):
        if edge.waiter in held_up and edge.holder in held_up:
            between.setdefault((edge.waiter, edge.holder), edge)
            onward.setdefault(edge.waiter, set()).add(edge.holder)
    return tuple(
        Cycle(edges=tuple(between[step] for step in pairwise([*cycle, cycle[0]])))
        for cycle in graph.cycles(onward)
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


def _needs(waits: Iterable[Edge]) -> Mapping[str, list[Need]]:
    """What each context waits for: whom, and whether any one of them would do."""
    grouped: dict[tuple[str, str, bool], set[str]] = {}
    for edge in waits:
        grouped.setdefault((edge.waiter, edge.key, edge.any_of), set()).add(edge.holder)
    needs: dict[str, list[Need]] = {}
    for (waiter, _, any_of), nodes in grouped.items():
        need = Need(some_of=tuple(nodes), enough=1) if any_of else Need(all_of=frozenset(nodes))
        needs.setdefault(waiter, []).append(need)
    return needs
