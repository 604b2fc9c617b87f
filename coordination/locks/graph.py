"""Graphs of who waits for whom: which waits can never end, and the cycles among them. Pure.

Somebody may wait for *all* of some others, and for *enough* of the rest; so a cycle alone is no
proof. What is stuck is what remains when everybody who can go on has gone (the reduction of
wait-for graphs of Holt, "Some Deadlock Properties of Computer Systems", 1972).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One wait: who has to go before it ends."""

    all_of: frozenset[str] = frozenset()
    """These all have to."""
    some_of: tuple[str, ...] = ()
    """Of these `enough` have to, too; who stands in it twice counts twice."""
    enough: int = 0

    @property
    def nodes(self) -> frozenset[str]:
        """Everybody it may have to wait for."""
        return self.all_of.union(self.some_of)

    def ends(self, staying: Container[str]) -> bool:
        """Whether it ends though these stay."""
        if any(node in staying for node in self.all_of):
            return False
        return sum(node not in staying for node in self.some_of) >= self.enough


def stuck(needs: Mapping[str, Sequence[Need]]) -> frozenset[str]:
    """Those who can never go on unless somebody intervenes.

    Everybody who waits, less those whose waits can all end, again and again until nobody is left
    whose waits can.
    """
    left = set(needs)
    waited_for: dict[str, set[str]] = {}
    for waiter, own in needs.items():
        for node in frozenset[str]().union(*(need.nodes for need in own)):
            waited_for.setdefault(node, set()).add(waiter)
    to_look_at = set(left)
    while to_look_at:
        waiter = to_look_at.pop()
        if all(need.ends(left) for need in needs[waiter]):
            left.discard(waiter)
            to_look_at |= waited_for.get(waiter, set()) & left
    return frozenset(left)


def cycles(onward: Mapping[str, Collection[str]]) -> tuple[tuple[str, ...], ...]:
    """Short cycles that share nobody, at least one of each group of those who reach each other.

    Each begins with its least member, and everybody who looks at the same graph finds the same.
    """
    rings = (ring for group in _groups(onward) for ring in _rings(group, onward))
    return tuple(sorted(_shortest(min(ring), ring, onward) for ring in rings))


def _rings(group: Collection[str], onward: Mapping[str, Collection[str]]) -> Iterator[set[str]]:
    """The members of cycles that are met when everybody goes on to the least in the group."""
    done: set[str] = set()
    for start in sorted(group):
        path: dict[str, None] = {}
        node: str | None = start
        while node is not None and node not in done and node not in path:
            path[node] = None
            node = min((each for each in onward.get(node, ()) if each in group), default=None)
        if node in path:
            way = list(path)
            yield set(way[way.index(node) :])
        done.update(path)


def _shortest(
    start: str, inside: Collection[str], onward: Mapping[str, Collection[str]]
) -> tuple[str, ...]:
    """The shortest way from a member of a ring back to it."""
    came_from: dict[str, str] = {}
    front = deque([start])
    while start not in came_from:
        node = front.popleft()
        for following in sorted(onward[node]):
            if following in inside and following not in came_from:
                came_from[following] = node
                front.append(following)
    way = [came_from[start]]
    while way[-1] != start:
        way.append(came_from[way[-1]])
    return tuple(reversed(way))


def _groups(onward: Mapping[str, Collection[str]]) -> Iterator[set[str]]:
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
        work = [(root, iter(onward[root]))]
        while work:
            node, rest = work[-1]
            following = next(rest, None)
            if following is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    at = open_ones.index(node)
                    group = set(open_ones[at:])
                    del open_ones[at:]
                    done |= group
                    yield group
            elif following not in index:
                index[following] = low[following] = len(index)
                open_ones.append(following)
                work.append((following, iter(onward.get(following, ()))))
            elif following not in done:
                low[node] = min(low[node], index[following])
