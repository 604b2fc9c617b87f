"""The wait-for graph: who waits for whom, and which waits can never end."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordination.locks.types import Mode
from coordination.locks.waits import Contended, Contender, Edge, behind, cycles, edges, stuck


def who(context: str, mode: Mode = Mode.EXCLUSIVE, limit: int = 1) -> Contender:
    return Contender(context=context, owner=context, mode=mode, limit=limit)


def name(key: str, holders: str, waiters: str, mode: Mode = Mode.EXCLUSIVE) -> Contended:
    limit = len(holders)
    return Contended(
        key=key,
        name=key,
        holders=[who(each, mode, limit) for each in holders],
        waiters=[who(each, mode, limit) for each in waiters],
    )


def pairs(found: tuple[Edge, ...]) -> set[tuple[str, str]]:
    return {(edge.waiter, edge.holder) for edge in found}


def test_a_waiter_waits_for_every_holder_in_its_way() -> None:
    readers = Contended(
        key="k",
        name="k",
        holders=[who("r", Mode.SHARED), who("s", Mode.SHARED)],
        waiters=[who("w"), who("t", Mode.SHARED)],
    )
    assert pairs(edges([readers])) == {("w", "r"), ("w", "s"), ("t", "w")}


def test_a_reader_behind_a_writer_waits_for_the_writer_in_the_queue() -> None:
    readers = Contended(
        key="k",
        name="k",
        holders=[who("r", Mode.SHARED)],
        waiters=[who("w"), who("t", Mode.SHARED)],
    )
    (edge,) = (edge for edge in edges([readers]) if edge.waiter == "t")
    assert (edge.holder, edge.token) == ("w", None)


def test_whoever_waits_at_a_barrier_waits_for_nobody_known() -> None:
    assert edges([name("b", "ab", "cd", Mode.PARTY)]) == ()


@pytest.mark.parametrize("length", [2, 3, 7])
def test_a_cycle_is_found_once_and_in_the_order_of_waiting(length: int) -> None:
    ring = "abcdefg"[:length]
    found = cycles(edges([name(f"k{i}", ring[i], ring[i - 1]) for i in range(length)]))
    (cycle,) = found
    assert sorted(cycle.contexts) == sorted(ring)
    for edge, onward in itertools.pairwise([*cycle.edges, cycle.edges[0]]):
        assert edge.holder == onward.waiter


def test_one_that_waits_for_itself_is_a_cycle_of_one() -> None:
    (cycle,) = cycles(edges([name("k", "a", "a")]))
    assert cycle.contexts == ("a",)


def test_what_waits_for_a_cycle_is_stuck_behind_it() -> None:
    waits = edges(
        [name("k", "a", "bc"), name("l", "b", "a"), name("m", "c", "d"), name("n", "x", "y")]
    )
    found = cycles(waits)
    assert [set(cycle.contexts) for cycle in found] == [{"a", "b"}]
    assert behind(waits, found) == {"c", "d"}
    assert "y" not in stuck(waits)


def test_a_permit_that_anyone_may_give_back_ends_a_cycle() -> None:
    """a waits for a permit of b or c; b waits for a; c works on and will give its permit back."""
    waits = edges([name("s", "bc", "a", Mode.PERMIT), name("k", "a", "b")])
    assert all(edge.any_of for edge in waits if edge.waiter == "a")
    assert stuck(waits) == frozenset()
    assert cycles(waits) == ()


def test_a_semaphore_whose_every_holder_is_stuck_is_a_deadlock() -> None:
    waits = edges([name("s", "bc", "a", Mode.PERMIT), name("k", "a", "b"), name("l", "a", "c")])
    assert stuck(waits) == {"a", "b", "c"}
    assert len(cycles(waits)) == 1


def test_a_free_permit_is_waited_for_by_nobody() -> None:
    semaphore = Contended(
        key="s",
        name="s",
        holders=[who("a", Mode.PERMIT, 3)],
        waiters=[who("b", Mode.PERMIT, 3)],
    )
    assert edges([semaphore]) == ()


def test_a_long_chain_and_a_long_ring_need_no_deep_stack() -> None:
    names = [f"c{i}" for i in range(3_000)]
    chain = [
        Contended(key=f"k{i}", name=f"k{i}", holders=[who(b)], waiters=[who(a)])
        for i, (a, b) in enumerate(itertools.pairwise(names))
    ]
    assert stuck(edges(chain)) == frozenset()
    ring = [*chain, Contended(key="z", name="z", holders=[who(names[0])], waiters=[who(names[-1])])]
    assert len(cycles(edges(ring))[0].edges) == len(names)


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=14), st.integers())
def test_who_is_stuck_is_what_letting_go_in_any_order_leaves(
    waits_for: list[tuple[int, int]], seed: int
) -> None:
    """Against a simulation: whoever waits for nobody ends and gives back all that it has."""
    chosen = dict(waits_for)  # a context waits for one thing
    records = [
        name(f"k{holder}", str(holder), "".join(str(w) for w, h in chosen.items() if h == holder))
        for holder in set(chosen.values())
    ]
    left = dict(chosen)
    order = random.Random(seed)
    while free := [w for w, h in left.items() if h not in left]:
        left.pop(order.choice(free))
    assert stuck(edges(records)) == {str(each) for each in left}
    assert bool(cycles(edges(records))) == bool(left)
