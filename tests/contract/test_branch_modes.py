"""Every branch mode on every database keeps to the tables of `machine`, alone and when raced."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest

from coordination.transactions import machine
from coordination.transactions.branches.answer import Busy, InDoubt
from coordination.transactions.machine import Local
from coordination.transactions.types import Actual, Ballot, Mode, Outcome, Vote, Work
from tests.contract import places
from tests.contract.places import LITE, Place
from tests.contract.threads import disconnected
from tests.databases import ALIASES, _django_db_helper  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)


@pytest.fixture(params=places.places(), ids=lambda one: f"{one.mode}-{one.using}")
def place(
    request: pytest.FixtureRequest, transactional_db: None, tmp_path: Path
) -> Iterator[Place]:
    chosen: Place = request.param
    chosen.runs, chosen.meanwhile = 0, lambda: None
    # Its tables take longer to make than all that is done with them.
    with places.sqlite(tmp_path) if chosen.using == LITE else nullcontext(), chosen.open():
        yield chosen


def brought_to(place: Place, local: Local, work: Work) -> Work:
    """The branch in a state, reached by the messages that lead there."""
    if local in (place.worked, Local.COMMITTED):
        assert place.prepare(work).vote is Vote.YES
    if local is Local.COMMITTED:
        place.finish(work, Outcome.COMMITTED)
    if local is Local.TOMBSTONE:
        place.finish(work, Outcome.ABORTED)
    assert place.local(work) is local
    return work


def named(value: object) -> str:
    return f"{value.mode}-{value.using}" if isinstance(value, Place) else str(value)


IN_EACH_STATE = [(place, local) for place in places.places() for local in place.states]
TO_BE_FINISHED = [
    (place, local, outcome)
    for place in places.places()
    for local, outcome in machine.finish_table(place.mode, place.form)
]


@pytest.mark.parametrize("body", Vote)
@pytest.mark.parametrize(("place", "local"), IN_EACH_STATE, indirect=["place"], ids=named)
def test_prepare_does_what_the_table_says(place: Place, local: Local, body: Vote) -> None:
    if place.mode is not Mode.XA and body is Vote.READ_ONLY:
        body = Vote.YES  # a reserve or an action is never without its barrier row
    work = brought_to(place, local, place.work())
    runs = place.runs

    ballot = place.prepare(places.answering(work, body))

    left, vote = machine.prepare(local, body, mode=place.mode)
    if place.mode is not Mode.XA and (local, vote) == (Local.IDLE, Vote.NO):
        left = Local.TOMBSTONE  # nobody looks for orphaned reserves, so none may come later
    assert (place.local(work), ballot.vote) == (left, vote)
    assert place.runs - runs == (local is Local.IDLE)


@pytest.mark.parametrize(
    ("place", "local", "outcome"), TO_BE_FINISHED, indirect=["place"], ids=named
)
def test_finish_does_what_the_table_says(place: Place, local: Local, outcome: Outcome) -> None:
    work = brought_to(place, local, place.work())

    for _ in range(2):  # a repeated message finds what the first one left
        expected = machine.finish(place.local(work), outcome, mode=place.mode)
        result = place.finish(work, outcome)
        assert (place.local(work), result.actual) == expected

    ended = (0, 10) if place.mode is Mode.TCC else (10, 0)
    stays = place.local(work) in (Local.COMMITTED, Local.DONE)
    assert place.account == (ended if stays else (0, 0))


def test_a_branch_undone_after_its_reserve_is_never_reserved_or_confirmed_again(
    place: Place,
) -> None:
    work = brought_to(place, place.worked, place.work())
    place.finish(work, Outcome.ABORTED)

    again = place.prepare(work)
    confirmed = place.finish(work, Outcome.COMMITTED)

    assert (again.vote, confirmed.actual) == (Vote.NO, Actual.HEURISTIC_ROLLBACK)
    assert (place.local(work), place.account, place.runs) == (Local.TOMBSTONE, (0, 0), 1)


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("wish", Outcome)
def test_what_a_stranger_ended_is_told_by_what_it_left(
    place: Place, wish: Outcome, outcome: Outcome
) -> None:
    work = brought_to(place, place.worked, place.work())
    place.ended_by_a_stranger(work, wish)

    result = place.finish(work, outcome)

    against = {
        Outcome.COMMITTED: Actual.HEURISTIC_COMMIT,
        Outcome.ABORTED: Actual.HEURISTIC_ROLLBACK,
    }
    if place.mode is Mode.SAGA:
        del against[Outcome.COMMITTED]  # a commit leaves no trace in its database
    expected = Actual(outcome.value) if wish is outcome else against.get(wish)
    assert result.actual == (expected or Actual(outcome.value))
    assert bool(result.reason) == result.actual.heuristic


def test_a_prepare_after_the_deadline_runs_nothing(place: Place) -> None:
    ballot = place.prepare(place.work(remaining_ms=0))

    assert (ballot.vote, ballot.actual, place.runs) == (Vote.NO, None, 0)
    assert "deadline" in ballot.reason


def test_a_late_repetition_of_a_prepared_branch_leaves_it_to_the_decision(place: Place) -> None:
    work = brought_to(place, place.worked, place.work())

    ballot = place.prepare(places.late(work))

    # Either vote is true; it may only not say that the branch has ended.
    assert ballot.actual is None
    assert place.local(work) is place.worked


def start(threads: ThreadPoolExecutor, place: Place, work: Work) -> Future[Ballot]:
    return threads.submit(disconnected, partial(place.prepare, work))


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def held(place: Place) -> tuple[threading.Event, threading.Event]:
    """A body that says when it is inside and stays until it is let go."""
    inside, go = threading.Event(), threading.Event()

    def meanwhile() -> None:
        inside.set()
        assert go.wait(20)

    place.meanwhile = meanwhile
    return inside, go


def test_of_two_attempts_at_once_one_runs_the_body(
    place: Place, threads: ThreadPoolExecutor
) -> None:
    work, (inside, go) = place.work(), held(place)
    first = start(threads, place, work)
    assert inside.wait(10)
    second = start(threads, place, work)
    if place.using != LITE:
        with pytest.raises(Busy):
            second.result(10)
    go.set()

    assert first.result(10).vote is Vote.YES
    if place.using == LITE:
        assert voted_yes_or_knows_nothing(second)
    assert (place.runs, place.local(work)) == (1, place.worked)


def voted_yes_or_knows_nothing(attempt: Future[Ballot]) -> bool:
    try:
        return attempt.result(20).vote is Vote.YES
    except (Busy, InDoubt):
        return True


def test_an_abort_that_meets_a_running_attempt_wins_in_the_end(
    place: Place, threads: ThreadPoolExecutor
) -> None:
    work, (inside, go) = place.work(), held(place)
    attempt = start(threads, place, work)
    assert inside.wait(10)
    if place.using != LITE:
        with pytest.raises(Busy):
            place.finish(work, Outcome.ABORTED)
        go.set()
        attempt.result(10)
        ended = place.finish(work, Outcome.ABORTED)
    else:
        abort = partial(disconnected, partial(place.finish, work, Outcome.ABORTED))
        finish = threads.submit(abort)
        go.set()
        attempt.result(10)
        ended = finish.result(20)

    assert ended.actual is Actual.ABORTED
    assert (place.local(work), place.account) == (Local.TOMBSTONE, (0, 0))
