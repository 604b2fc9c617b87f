"""The graph of waits: its cycles, and that what is drawn is what is decided."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from coordination.locks import waits
from coordination.locks.graph import Need, cycles, stuck
from coordination.locks.types import LockInfo
from coordination.locks.waits import Contended, Contender
from tests.unit.test_deadlocks import found, situations

NODES = "abcdefgh"
GRAPHS = st.dictionaries(st.sampled_from(NODES), st.sets(st.sampled_from(NODES)))


def reached(start: str, onward: dict[str, set[str]]) -> set[str]:
    """Everybody who is reached from somebody in one step or more."""
    seen: set[str] = set()
    ahead = set(onward.get(start, ()))
    while ahead:
        node = ahead.pop()
        seen.add(node)
        ahead |= onward.get(node, set()) - seen
    return seen


@given(GRAPHS)
def test_cycles_are_ways_round_that_share_nobody(onward: dict[str, set[str]]) -> None:
    rings = cycles(onward)
    every = [node for ring in rings for node in ring]
    assert len(every) == len(set(every))
    for ring in rings:
        assert ring[0] == min(ring)
        assert all(after in onward[node] for node, after in pairwise([*ring, ring[0]]))


@given(GRAPHS)
def test_every_group_that_goes_round_has_a_cycle(onward: dict[str, set[str]]) -> None:
    far = {node: reached(node, onward) for node in NODES}
    in_cycles = {node for ring in cycles(onward) for node in ring}
    for node in NODES:
        if node in far[node]:
            group = {other for other in far[node] if node in far[other]}
            assert group & in_cycles


def test_one_group_may_have_two_cycles() -> None:
    onward = {"a": {"b"}, "b": {"a", "c"}, "c": {"d"}, "d": {"c", "e"}, "e": {"a"}}
    assert cycles(onward) == (("a", "b"), ("c", "d"))


def test_a_way_round_takes_no_detour() -> None:
    onward = {"a": {"b", "c"}, "b": {"c"}, "c": {"a"}}
    assert cycles(onward) == (("a", "c"),)


def test_enough_of_some_may_be_more_than_one() -> None:
    needs = {
        "a": [Need(some_of=("b", "c", "free"), enough=2)],
        "b": [Need(all_of=frozenset("a"))],
        "c": [Need(all_of=frozenset("x"))],
    }
    assert stuck(needs) == frozenset()
    assert stuck(needs | {"x": [Need(all_of=frozenset("a"))]}) == {"a", "b", "c", "x"}


def contended(info: LockInfo) -> Contended:
    """A lock as its record would tell of it."""
    holders, waiters = (
        [
            Contender(context=each.context, owner=each.owner, mode=each.mode, limit=each.limit)
            for each in claims
        ]
        for claims in (info.holders, info.waiters)
    )
    return Contended(key=info.name, name=info.name, holders=holders, waiters=waiters)


@given(situations())
def test_what_is_drawn_as_stuck_is_what_is_decided(infos: list[LockInfo]) -> None:
    decided = {wait.context for each in found(*infos) for wait in each.waits}
    drawn = waits.edges(map(contended, infos))
    assert decided <= waits.stuck(drawn)
    assert bool(waits.cycles(drawn)) == bool(decided)
