"""What is said of a transaction that waits: the next event, who, what blocks, and when."""

from dataclasses import replace

import pytest

from coordination.transactions.explaining import (
    BranchSituation,
    Explanation,
    HeldUp,
    Radius,
    Situation,
    explain,
)
from coordination.transactions.types import Form, Mode, Outcome, Vote

STOCK = BranchSituation(
    seq=1,
    participant="stock.reserve",
    node="shop",
    using="shop",
    mode=Mode.XA,
    form=Form.PREPARE,
    attempts=1,
)
POINTS = replace(STOCK, seq=2, participant="points", using="default", mode=Mode.TCC)
VOTING = Situation(
    gid="shop-00000000-0000000000000000",
    name="checkout",
    outcome=None,
    reason="",
    ended=False,
    heuristic="",
    acknowledged=False,
    age_ms=1_000,
    remaining_ms=9_000,
    decided_age_ms=None,
    turn_ms=1_500,
    continues=False,
    branches=(STOCK, POINTS),
)
COMMITTED = replace(
    VOTING,
    outcome=Outcome.COMMITTED,
    decided_age_ms=40_000,
    branches=(replace(STOCK, vote=Vote.YES), replace(POINTS, vote=Vote.YES, ended=True)),
)
ENDED = replace(COMMITTED, ended=True, turn_ms=None)


def told(found: Situation) -> Explanation:
    return explain(found, stuck_ms=30_000, patience_ms=2_000)


def test_votes_that_are_missing_are_waited_for_until_the_deadline() -> None:
    found = told(VOTING)

    assert found.next == "stock.reserve on shop and points on default to vote"
    assert (found.who, found.stuck) == ("a worker of shop.prepare", False)
    assert (found.blocks, found.retry_ms, found.since_ms) == ((), 1_500, 1_000)


def test_a_message_that_nobody_takes_is_told_with_its_queue() -> None:
    branches = (replace(STOCK, vote=Vote.YES), replace(POINTS, attempts=0))
    found = told(replace(VOTING, age_ms=6_000, branches=branches))

    assert found.blocks == (
        "points on default: nobody has taken its message; who consumes shop.prepare?",
    )


def test_another_projects_silence_is_told_as_that() -> None:
    far = replace(STOCK, node="far", using="", attempts=0, peer=True)
    found = told(replace(VOTING, age_ms=6_000, branches=(far,)))

    assert found.blocks == ("stock.reserve: no answer from the project 'far'",)


def test_what_is_undecided_past_its_deadline_is_stuck_for_want_of_a_sweeper() -> None:
    found = told(replace(VOTING, remaining_ms=-20_000, turn_ms=-20_000))

    assert found.stuck
    assert found.next == "the abort, its deadline has passed,"
    assert found.who == "a sweeper (concord sweep)"
    assert found.blocks == ("no sweeper has taken its turn for 20 s: is one running?",)
    assert found.retry_ms == 0


def test_a_deadline_that_has_just_passed_alarms_nobody() -> None:
    assert not told(replace(VOTING, remaining_ms=-1_000)).stuck


def test_what_commits_in_one_phase_waits_for_its_database_even_past_its_deadline() -> None:
    alone = replace(STOCK, form=Form.ONE_PHASE, error="cannot connect")
    found = told(replace(VOTING, remaining_ms=-20_000, branches=(alone,)))

    assert found.next == "stock.reserve on shop to say whether it has committed"
    assert found.blocks == ("stock.reserve on shop: cannot connect",)
    assert found.stuck


@pytest.mark.parametrize(("age_ms", "stuck"), [(29_999, False), (30_000, True)])
def test_what_is_decided_and_does_not_end_is_stuck_after_a_while(age_ms: int, stuck: bool) -> None:
    assert told(replace(COMMITTED, decided_age_ms=age_ms)).stuck is stuck


def test_an_end_that_fails_says_whom_it_waits_for_and_when_it_is_tried_again() -> None:
    why = "InDoubt: stock.reserve is unavailable since 12 s (no route); it is tried again in 8 s"
    late = replace(COMMITTED.branches[0], error=why, retry_ms=8_000, attempts=9)
    found = told(replace(COMMITTED, branches=(late, COMMITTED.branches[1])))

    assert found.next == "stock.reserve on shop to be committed"
    assert found.who == "a worker of shop.finish, or a sweeper"
    assert (found.blocks, found.retry_ms) == ((f"stock.reserve on shop: {why}",), 8_000)
    assert found.sentence == (
        "For 40 s: stock.reserve on shop to be committed by a worker of shop.finish, or a sweeper, "
        f"tried again in 8 s: stock.reserve on shop: {why}."
    )


def test_a_step_of_a_participants_code_cannot_be_done_by_a_sweeper() -> None:
    branches = (replace(POINTS, vote=Vote.YES),)
    assert told(replace(COMMITTED, branches=branches)).who == "a worker of shop.finish"


def test_when_only_the_continuation_is_left_the_broker_is_waited_for() -> None:
    found = told(replace(COMMITTED, continues=True, branches=(COMMITTED.branches[1],)))

    assert found.next == "its continuation to be sent"


def test_of_what_has_ended_nothing_is_due() -> None:
    found = told(ENDED)

    assert (found.next, found.stuck, found.sentence) == ("", False, "Nothing is due.")


def test_a_heuristic_outcome_waits_for_a_person_until_it_is_acknowledged() -> None:
    mixed = replace(ENDED, heuristic="mixed")

    assert told(mixed).stuck
    assert told(mixed).next == "its heuristic outcome (mixed) to be acknowledged"
    assert not told(replace(mixed, acknowledged=True)).stuck


def test_a_radius_is_told_in_one_line() -> None:
    waiting = tuple(HeldUp(pid=pid, waited_s=9.6 - pid, query="UPDATE") for pid in range(2))
    one = Radius(
        branch_gid="cc:x:1",
        using="shop",
        prepared_s=61,
        transactions=1_200,
        locks=4,
        tables=("stock",),
        sessions=waiting,
    )

    assert one.sentence == (
        "cc:x:1 is prepared on shop for 61 s with 4 locks on stock; 2 sessions wait for it, the "
        "first for 10 s; 1200 transactions old"
    )
