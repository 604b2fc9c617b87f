"""A bound is met when a branch prepares, never when it commits."""

import pytest

from coordination.exceptions import BoundExceeded, QueueFull
from coordination.transactions.types import Actual, Outcome, Vote
from tests.databases import ALIASES
from tests.effects import Effect, finish, prepare, prepared

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)
REFUSALS = (BoundExceeded, QueueFull)


def test_a_branch_without_room_votes_no_and_says_why(bounded: Effect) -> None:
    bounded.do()
    work = bounded.work()

    ballot = prepare(work)
    finish(work, Outcome.ABORTED)

    assert ballot.vote is Vote.NO
    assert bounded.name in ballot.reason
    assert "othing was" in ballot.reason
    assert bounded.seen() == 1


def test_what_was_prepared_commits_whatever_others_try_meanwhile(held: Effect) -> None:
    work = prepared(held.work())

    with pytest.raises(REFUSALS):
        held.do()
    second = prepare(held.work())
    ended = finish(work, Outcome.COMMITTED)

    assert (second.vote, ended.actual, held.seen()) == (Vote.NO, Actual.COMMITTED, 1)
    assert "open transactions" in second.reason


def test_the_room_of_an_aborted_branch_is_there_for_others(bounded: Effect) -> None:
    finish(prepared(bounded.work()), Outcome.ABORTED)

    finish(prepared(bounded.work()), Outcome.COMMITTED)

    assert bounded.seen() == 1
    with pytest.raises(REFUSALS):
        bounded.do()


def test_the_room_of_a_committed_branch_is_used_once(bounded: Effect) -> None:
    bounded.room = 2
    finish(prepared(bounded.work()), Outcome.COMMITTED)

    bounded.do()

    assert bounded.seen() == 2
    with pytest.raises(REFUSALS):
        bounded.do()


def test_a_late_prepare_takes_no_room(bounded: Effect) -> None:
    work = bounded.work()
    finish(work, Outcome.ABORTED)
    prepare(work)

    bounded.do()

    assert bounded.seen() == 1
