"""The pivot of a saga and what lies behind it keep to the tables of `machine`, on each database."""

from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest

from coordination.transactions import machine
from coordination.transactions.branches import saga, tcc
from coordination.transactions.branches.answer import InDoubt
from coordination.transactions.context import Context
from coordination.transactions.machine import Local
from coordination.transactions.participants import Participant
from coordination.transactions.types import Actual, Form, Mode, Outcome, Vote, Work
from tests.contract import places
from tests.contract.places import LITE, Saga
from tests.databases import ALIASES, _django_db_helper  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

FORMS = (Form.PIVOT, Form.FORWARD)
TO_BE_FINISHED = [(form, *key) for form in FORMS for key in machine.finish_table(Mode.SAGA, form)]


@pytest.fixture(params=["bank_b", LITE])
def place(request: pytest.FixtureRequest, transactional_db: None, tmp_path: Path) -> Iterator[Saga]:
    with places.sqlite(tmp_path) if request.param == LITE else nullcontext():
        chosen = Saga(using=request.param, mode=Mode.SAGA, form=Form.PIVOT)
        with chosen.open():
            yield chosen


def brought_to(place: Saga, local: Local) -> Work:
    work = place.work()
    if local is Local.DONE and place.form is Form.FORWARD:
        place.finish(work, Outcome.COMMITTED)
    elif local is Local.DONE:
        place.prepare(work)
    elif local is Local.TOMBSTONE:
        place.finish(work, Outcome.ABORTED)
    assert place.local(work) is local
    return work


@pytest.mark.parametrize(("form", "local", "outcome"), TO_BE_FINISHED, ids=str)
def test_finish_does_what_the_table_says(
    place: Saga, form: Form, local: Local, outcome: Outcome
) -> None:
    place.form = form
    work = brought_to(place, local)

    for _ in range(2):  # a repeated message finds what the first one left
        expected = machine.finish(place.local(work), outcome, mode=Mode.SAGA, form=form)
        result = place.finish(work, outcome)
        assert (place.local(work), result.actual) == expected

    assert place.account == ((10, 0) if place.local(work) is Local.DONE else (0, 0))


def test_a_pivot_that_has_acted_says_yes_however_late_it_is_asked_again(place: Saga) -> None:
    work = brought_to(place, Local.DONE)

    again = [
        place.prepare(places.late(work)),
        tcc.give_up(work, "too often", place.participant),
        tcc.give_up(work, "not known here", None),
    ]

    assert [ballot.vote for ballot in again] == [Vote.YES] * 3
    assert (place.account, place.runs) == ((10, 0), 1)


def test_a_pivot_that_is_asked_too_late_says_no_and_will_never_act(place: Saga) -> None:
    work = place.work()

    ballot = place.prepare(places.late(work))
    later = place.prepare(work)

    assert (ballot.vote, ballot.actual, later.vote) == (Vote.NO, Actual.ABORTED, Vote.NO)
    assert (place.local(work), place.account, place.runs) == (Local.TOMBSTONE, (0, 0), 0)


def fails() -> None:
    raise RuntimeError("not today")


def test_what_fails_behind_the_pivot_leaves_nothing_and_is_done_later(place: Saga) -> None:
    place.form, place.meanwhile = Form.FORWARD, fails
    work = place.work()

    for _ in range(2):
        with pytest.raises(InDoubt, match="not today"):
            place.finish(work, Outcome.COMMITTED)
        assert (place.local(work), place.account) == (Local.IDLE, (0, 0))
    refused = places.answering(work, Vote.NO)
    place.meanwhile = lambda: None
    with pytest.raises(InDoubt, match="asked to refuse"):
        place.finish(refused, Outcome.COMMITTED)

    assert place.finish(work, Outcome.COMMITTED).actual is Actual.COMMITTED
    assert place.account == (10, 0)


def test_a_step_without_compensate_says_no_where_it_might_have_to_be_undone(place: Saga) -> None:
    place.form = Form.PREPARE
    bare = Participant(name="test.bare", using=place.using, mode=Mode.SAGA, body=place.body)
    work = place.work()

    ballot = saga.prepare(work, bare)

    assert ballot.vote is Vote.NO
    assert "compensate" in ballot.reason
    assert (place.runs, saga.finish(work, Outcome.ABORTED, bare).actual) == (0, Actual.ABORTED)


@pytest.mark.parametrize("form", [Form.PREPARE, Form.FORWARD])
def test_a_compensation_or_a_step_behind_the_pivot_is_told_that_time_does_not_matter(
    place: Saga, form: Form
) -> None:
    place.form = form
    told: list[float | None] = []
    seen = partial(_remaining, told)
    known = Participant(
        name="test.timed", using=place.using, mode=Mode.SAGA, body=seen, cancel=seen
    )
    work = place.work()

    if form is Form.FORWARD:
        saga.forward(work, known)
    else:
        saga.prepare(work, known)
        saga.finish(work, Outcome.ABORTED, known)

    assert told[-1] is None


def _remaining(told: list[float | None], ctx: Context, answer: str) -> None:
    told.append(ctx.remaining)
