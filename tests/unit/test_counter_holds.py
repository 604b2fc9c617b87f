"""Escrow: in whatever order holds end, no bound is crossed, and none is refused for nothing."""

from itertools import combinations

import pytest

from coordination.counters.holding import Room, room_of
from coordination.counters.machine import decide
from coordination.counters.types import Change, Ending, Reading, Rules, Verb

RULES = Rules("a", minimum=0, maximum=3)
AMOUNTS = (-2, -1, 0, 1, 2)
State = tuple[int, tuple[int, ...]]
"""The value, and the amounts that are held."""


def ends_of(state: State) -> set[int]:
    """Every value that some of the holds could lead to, on the way as well."""
    value, holds = state
    return {
        value + sum(some) for count in range(len(holds) + 1) for some in combinations(holds, count)
    }


def next_to(state: State) -> set[State]:
    value, holds = state
    room = room_of(holds)
    found: set[State] = set()
    for amount in AMOUNTS:
        if len(holds) < 3 and room.allows_adding(RULES, value, amount):
            found.add((value, tuple(sorted((*holds, amount)))))
        for change in (Change(Verb.ADD, "i", amount), Change(Verb.SET, "i", amount)):
            answer = decide(RULES, Reading(value, 0), change, room)
            found.add((answer.value, holds))
    for index, amount in enumerate(holds):
        left = (*holds[:index], *holds[index + 1 :])
        found |= {(value + amount, left), (value, left)}
    return found


def reachable() -> set[State]:
    seen: set[State] = set()
    coming: list[State] = [(0, ())]
    while coming:
        state = coming.pop()
        if state not in seen:
            seen.add(state)
            coming += next_to(state)
    return seen


def test_no_order_of_commits_and_aborts_crosses_a_bound() -> None:
    states = reachable()

    assert len(states) > 50
    for state in states:
        assert all(0 <= value <= 3 for value in ends_of(state)), state


def test_what_is_refused_could_have_crossed_a_bound() -> None:
    for value, holds in reachable():
        for amount in AMOUNTS:
            if not room_of(holds).allows_adding(RULES, value, amount):
                assert any(not 0 <= end + amount <= 3 for end in ends_of((value, holds))), (
                    value,
                    holds,
                    amount,
                )


@pytest.mark.parametrize(
    ("change", "ending"),
    [
        (Change(Verb.ADD, "i", -1), Ending.DONE),
        (Change(Verb.ADD, "i", -2), Ending.EXCEEDED),
        (Change(Verb.ADD, "i", 1), Ending.EXCEEDED),
        (Change(Verb.SET, "i", 1), Ending.DONE),
        (Change(Verb.SET, "i", 0), Ending.EXCEEDED),
        (Change(Verb.SET, "i", 3), Ending.EXCEEDED),
        (Change(Verb.COMPARE_AND_SET, "i", 0, 2), Ending.EXCEEDED),
        (Change(Verb.COMPARE_AND_SET, "i", 0, 1), Ending.MISMATCH),
    ],
)
def test_who_changes_a_counter_leaves_room_for_holds(change: Change, ending: Ending) -> None:
    answer = decide(RULES, Reading(2, 5), change, Room(less=-1, more=1))

    assert answer.ending is ending
