"""Which waits can never end."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordination.locks.deadlocks import Deadlocked, deadlocks, waits
from coordination.locks.types import Claimant, Kind, LockInfo, Mode, Resource, State

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD = timedelta(seconds=1)

Claims = Sequence[tuple[str, Mode] | tuple[str, Mode, int]]


def claimant(
    context: str, mode: Mode, limit: int = 1, *, state: State, ago_s: float = 5
) -> Claimant:
    return Claimant(
        id=f"{context}-{state}",
        mode=mode,
        limit=limit,
        state=state,
        owner=f"owner of {context}",
        token=1,
        since=NOW - timedelta(seconds=ago_s),
        until=NOW + timedelta(seconds=30),
        context=context,
    )


def seen(name: str, *, held: Claims, waiting: Claims, ago_s: float = 5) -> LockInfo:
    return LockInfo(
        resource=Resource(Kind.LOCK, name),
        store="redis",
        at=NOW,
        holders=tuple(claimant(*each, state=State.HELD) for each in held),
        waiters=tuple(claimant(*each, state=State.WAITING, ago_s=ago_s) for each in waiting),
    )


def found(*infos: LockInfo) -> list[Deadlocked]:
    return deadlocks(waits(infos), older_than=OLD)


def cycles(*infos: LockInfo) -> list[list[str]]:
    return [[wait.context for wait in each.waits] for each in found(*infos)]


X, S, P = Mode.EXCLUSIVE, Mode.SHARED, Mode.PERMIT


def test_two_who_wait_for_each_other_are_deadlocked() -> None:
    infos = (
        seen("a", held=[("one", X)], waiting=[("two", X)]),
        seen("b", held=[("two", X)], waiting=[("one", X)], ago_s=2),
    )
    (cycle,) = found(*infos)

    assert [wait.context for wait in cycle.waits] == ["one", "two"]
    assert cycle.victim.context == "one"  # it waits for a shorter time
    assert cycle.told() == (
        "one waits for lock 'b' on redis behind two; two waits for lock 'a' on redis behind one"
    )


def test_who_waits_for_itself_is_deadlocked() -> None:
    assert cycles(seen("a", held=[("one", X)], waiting=[("one", X)])) == [["one"]]


def test_who_is_only_behind_a_deadlock_is_no_part_of_it() -> None:
    assert cycles(
        seen("a", held=[("one", X)], waiting=[("two", X), ("behind", X)]),
        seen("b", held=[("two", X)], waiting=[("one", X)]),
    ) == [["one", "two"]]


def test_a_wait_that_is_young_is_left_alone() -> None:
    assert not found(
        seen("a", held=[("one", X)], waiting=[("two", X)]),
        seen("b", held=[("two", X)], waiting=[("one", X)], ago_s=0.5),
    )


def test_a_chain_that_ends_is_no_deadlock() -> None:
    assert not found(
        seen("a", held=[("one", X)], waiting=[("two", X)]),
        seen("b", held=[("two", X)], waiting=[("three", X)]),
    )


def test_a_reader_behind_a_writer_waits_for_the_writer_too() -> None:
    """`late` could share with `reader`, but may not pass `writer`."""
    assert cycles(
        seen("a", held=[("reader", S)], waiting=[("writer", X), ("late", S)]),
        seen("b", held=[("late", X)], waiting=[("reader", X)]),
    ) == [["late", "writer", "reader"]]


def test_a_permit_that_may_become_free_is_no_deadlock() -> None:
    """One of two permits is held by somebody who can go on: he will give it back."""
    waiting = seen("b", held=[("one", P, 2), ("free", P, 2)], waiting=[("two", P, 2)])
    assert not found(seen("a", held=[("two", X)], waiting=[("one", X)]), waiting)

    stuck = seen("b", held=[("one", P, 2), ("other", P, 2)], waiting=[("two", P, 2)])
    assert cycles(seen("a", held=[("two", X)], waiting=[("one", X), ("other", X)]), stuck) == [
        ["one", "two"]
    ]


def test_nobody_is_stuck_at_a_barrier() -> None:
    """Who is yet to come is not known."""
    assert not found(
        seen("gate", held=[], waiting=[("one", Mode.PARTY, 2)]),
        seen("a", held=[("one", X)], waiting=[("two", X)]),
    )


CONTEXTS = [f"c{number}" for number in range(5)]


@st.composite
def situations(draw: st.DrawFn) -> list[LockInfo]:
    """Locks held and waited for; each context waits for one thing at most, as a thread does."""
    infos = []
    idle = draw(st.permutations(CONTEXTS))
    for number in range(draw(st.integers(1, 4))):
        mode = draw(st.sampled_from([X, S]))
        most = 1 if mode is X else 3
        holders = draw(st.lists(st.sampled_from(CONTEXTS), min_size=1, max_size=most, unique=True))
        waiting, idle = idle[:2], idle[2:]
        waiting = waiting[: draw(st.integers(0, 2))]
        modes = [(each, draw(st.sampled_from([X, S]))) for each in waiting]
        infos.append(seen(f"l{number}", held=[(each, mode) for each in holders], waiting=modes))
    return infos


def ends(infos: list[LockInfo]) -> bool:
    """Whether every wait ends, when everybody who is not waiting lets go of all he has."""
    held = [({each.context: each.mode for each in i.holders}, list(i.waiters)) for i in infos]
    while True:
        asleep = {each.context for _, queue in held for each in queue}
        progress = False
        for holders, queue in held:
            for context in [each for each in holders if each not in asleep]:
                del holders[context]
                progress = True
            while queue and all(S == queue[0].mode == mode for mode in holders.values()):
                first = queue.pop(0)
                holders[first.context] = first.mode
                progress = True
        if not progress:
            return not any(queue for _, queue in held)


@given(situations())
def test_a_deadlock_is_found_exactly_when_somebody_waits_for_ever(infos: list[LockInfo]) -> None:
    assert bool(found(*infos)) == (not ends(infos))


@pytest.mark.parametrize("order", [0, 1])
def test_everybody_who_looks_names_the_same_victim(order: int) -> None:
    infos = [
        seen("a", held=[("one", X)], waiting=[("two", X)]),
        seen("b", held=[("two", X)], waiting=[("one", X)]),
    ]
    (cycle,) = found(*(infos if order else infos[::-1]))
    assert cycle.victim.context == "one"
