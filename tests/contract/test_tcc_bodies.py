"""What the three bodies of a `tcc` participant may do, on PostgreSQL and on SQLite."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from django.db import DatabaseError, connections, transaction

from coordination.transactions.branches.answer import InDoubt
from coordination.transactions.machine import Local
from coordination.transactions.types import Actual, Mode, Outcome, Vote
from tests.contract import places
from tests.contract.places import LITE, TCC, execute
from tests.databases import ALIASES, _django_db_helper  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)


@pytest.fixture(params=["bank_b", LITE])
def place(request: pytest.FixtureRequest, transactional_db: None, tmp_path: Path) -> Iterator[TCC]:
    with places.sqlite(tmp_path):
        chosen = TCC(using=request.param, mode=Mode.TCC)
        with chosen.open():
            yield chosen


def raises(using: str) -> None:
    raise RuntimeError("it broke")


def marks_rollback(using: str) -> None:
    transaction.set_rollback(True, using=using)


def swallows_an_error_of_a_block_without_savepoint(using: str) -> None:
    with suppress(RuntimeError), transaction.atomic(using=using, savepoint=False):
        raise RuntimeError("inside")


def swallows_a_database_error(using: str) -> None:
    """Harmless on SQLite, whose statement alone is undone; fatal on PostgreSQL."""
    with suppress(DatabaseError):
        execute(using, "SELECT nothing FROM nowhere")


def rolls_back(using: str) -> None:
    execute(using, "ROLLBACK")


def commits_and_raises(using: str) -> None:
    execute(using, "COMMIT")
    raise RuntimeError("it broke")


Fault = Callable[[str], None]
UNDONE: list[Fault] = [raises, marks_rollback, swallows_an_error_of_a_block_without_savepoint]


@pytest.mark.parametrize("fault", [*UNDONE, rolls_back])
def test_a_reserve_that_is_not_kept_is_a_no_and_will_never_be_made(
    place: TCC, fault: Fault
) -> None:
    place.meanwhile = lambda: fault(place.using)
    work = place.work()

    ballot = place.prepare(work)

    assert (ballot.vote, ballot.actual) == (Vote.NO, Actual.ABORTED)
    assert (place.local(work), place.account) == (Local.TOMBSTONE, (0, 0))
    assert connections[place.using].get_autocommit()


def test_a_swallowed_database_error_is_never_a_yes_on_nothing(place: TCC) -> None:
    place.meanwhile = lambda: swallows_a_database_error(place.using)
    work = place.work()

    ballot = place.prepare(work)

    kept = ballot.vote is Vote.YES
    assert place.local(work) is (Local.PREPARED if kept else Local.TOMBSTONE)
    assert place.account == ((10, 0) if kept else (0, 0))
    assert kept == (place.using == LITE)


def test_a_reserve_that_committed_by_itself_and_failed_is_cancelled(place: TCC) -> None:
    place.meanwhile = lambda: commits_and_raises(place.using)
    work = place.work()

    ballot = place.prepare(work)
    ended = place.finish(work, Outcome.ABORTED)

    # Not known to have ended, so the decision's cancel reaches it.
    assert (ballot.vote, ballot.actual) == (Vote.NO, None)
    assert (ended.actual, place.account) == (Actual.ABORTED, (0, 0))


def test_a_reserve_that_returns_late_is_a_no(place: TCC) -> None:
    place.meanwhile = lambda: assert_not(threading.Event().wait(0.06))
    work = place.work(remaining_ms=50)

    ballot = place.prepare(work)

    assert (ballot.vote, place.local(work), place.account) == (Vote.NO, Local.TOMBSTONE, (0, 0))
    assert "deadline" in ballot.reason


def assert_not(value: bool) -> None:
    assert not value


@pytest.mark.parametrize("fault", [*UNDONE, swallows_a_database_error])
@pytest.mark.parametrize("outcome", Outcome)
def test_a_confirm_or_cancel_that_fails_is_tried_again_until_it_succeeds(
    place: TCC, outcome: Outcome, fault: Fault
) -> None:
    work = place.work()
    place.prepare(work)
    place.ending = lambda: fault(place.using)
    if place.using != LITE or fault is not swallows_a_database_error:
        for _ in range(2):
            with pytest.raises(InDoubt):
                place.finish(work, outcome)
            assert (place.local(work), place.account) == (Local.PREPARED, (10, 0))

    place.ending = lambda: None
    ended = [place.finish(work, outcome).actual for _ in range(2)]

    assert ended == [Actual(outcome.value)] * 2
    assert place.account == ((0, 10) if outcome is Outcome.COMMITTED else (0, 0))
    assert connections[place.using].get_autocommit()
