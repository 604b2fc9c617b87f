"""What is published and added by a branch is seen if and only if it commits, on every store."""

import pytest

from coordination.transactions.types import Actual, Outcome, Vote
from tests.databases import ALIASES
from tests.effects import Effect, finish, late, prepare, prepared

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)


def test_what_is_prepared_is_not_seen_and_what_is_committed_is(effect: Effect) -> None:
    work = prepared(effect.work(units=3))
    before = effect.seen()

    ended = finish(work, Outcome.COMMITTED)

    assert (before, ended.actual, effect.seen()) == (0, Actual.COMMITTED, 3)


def test_of_an_aborted_branch_nothing_is_left(effect: Effect) -> None:
    work = prepared(effect.work(units=3))

    ended = finish(work, Outcome.ABORTED)

    assert (ended.actual, effect.seen()) == (Actual.ABORTED, 0)


def test_every_step_may_come_twice(effect: Effect) -> None:
    work = effect.work(units=2)

    votes = [prepare(work).vote for _ in range(2)]
    ends = [finish(work, Outcome.COMMITTED).actual for _ in range(3)]

    assert votes == [Vote.YES] * 2
    assert (ends, effect.seen()) == ([Actual.COMMITTED] * 3, 2)


def test_a_cancel_may_come_twice(effect: Effect) -> None:
    work = prepared(effect.work())

    ends = [finish(work, Outcome.ABORTED).actual for _ in range(3)]

    assert (ends, effect.seen()) == ([Actual.ABORTED] * 3, 0)


def test_a_prepare_that_comes_after_its_cancel_is_refused(effect: Effect) -> None:
    work = effect.work()

    ended = finish(work, Outcome.ABORTED)
    ballot = prepare(work)

    assert (ended.actual, ballot.vote, effect.seen()) == (Actual.ABORTED, Vote.NO, 0)


def test_a_prepare_that_comes_after_the_commit_does_nothing_more(effect: Effect) -> None:
    work = prepared(effect.work())
    finish(work, Outcome.COMMITTED)

    prepare(work)

    assert finish(work, Outcome.COMMITTED).actual is Actual.COMMITTED
    assert effect.seen() == 1


def test_a_prepare_that_comes_after_the_deadline_is_refused(effect: Effect) -> None:
    work = effect.work()

    ballot = prepare(late(work))

    assert ballot.vote is Vote.NO
    assert "deadline" in ballot.reason


def test_branches_of_several_transactions_do_not_wait_for_each_other(held: Effect) -> None:
    held.room = 4
    works = [prepared(held.work()) for _ in range(4)]

    for index, work in enumerate(works):
        finish(work, Outcome.COMMITTED if index % 2 else Outcome.ABORTED)

    assert held.seen() == 2


def test_the_participant_is_named_with_what_it_is_done_to(effect: Effect) -> None:
    participant = effect.work().participant

    kind = "concord.counter.add" if "counter" in participant else "concord.queue.publish"
    assert participant == f"{kind}:{effect.name}@{effect.using}"
