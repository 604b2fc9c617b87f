"""What the bench says of contenders, from what each of them saw."""

import pytest

from bench.locks.contest import Record, judged
from bench.report import Goal


def test_equal_grants_are_fair_and_all_for_one_is_not() -> None:
    fair = judged([[(0, 1, 2)], [(0, 3, 4)]], due=5, seconds=5, cpu=0, met=0)
    unfair = judged([[(0, 1, 2), (2, 3, 4)], []], due=5, seconds=5, cpu=0, met=0)
    assert fair.fairness == 1
    assert unfair.fairness == 0.5


def test_a_hand_off_lasts_from_the_leave_to_the_next_entry_whoever_it_is() -> None:
    records: list[list[Record]] = [[(0, 1, 2), (2, 2.5, 3)], [(0, 4, 5)]]
    contest = judged(records, due=6, seconds=6, cpu=0, met=0)
    assert contest.hand_offs == (0.5, 1)
    assert contest.same_again == 0.5


def test_who_waits_beyond_the_end_counts_among_the_waits_but_not_the_grants() -> None:
    contest = judged([[(0, 1, 2)], [(0, 9, 10)]], due=5, seconds=5, cpu=0, met=0)
    assert contest.latencies == (1, 9)
    assert contest.grants == (1, 0)


@pytest.mark.parametrize(("got", "reached"), [(0.2, True), (0.3, False), (None, False)])
def test_a_goal_of_at_most_is_reached_from_below(got: float | None, reached: bool) -> None:
    assert Goal("wait", 0.25, got, at_most=True).reached is reached
