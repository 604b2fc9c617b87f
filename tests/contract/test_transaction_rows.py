"""The SQL functions of a transaction's rows do what the reference model `machine.Row` does."""

from dataclasses import dataclass
from functools import partial

import pytest
from django.db import IntegrityError, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordination.connections import database
from coordination.connections.database import StatementRefused
from coordination.observing.tables import Event
from coordination.transactions import machine
from coordination.transactions.machine import BranchRow, IllegalTransition, Row
from coordination.transactions.ordering import Order, Step
from coordination.transactions.tables import Transaction
from coordination.transactions.types import (
    Actual,
    Ballot,
    Form,
    Heuristic,
    Mode,
    Outcome,
    Protocol,
    Result,
    Standing,
    Vote,
)
from tests.contract import rows
from tests.contract.threads import at_once
from tests.databases import ALIASES, _django_db_helper  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

LAST_AGENT_REFUSED, UNDECIDED = "CC001", "CC002"


@dataclass(frozen=True, slots=True)
class Votes:
    ballots: tuple[Ballot, ...]


@dataclass(frozen=True, slots=True)
class Decides:
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Finishes:
    results: tuple[Result, ...]


Deed = Votes | Decides | Finishes


def ballots(seq: int, form: Form) -> st.SearchStrategy[Ballot]:
    """Every ballot a branch of this form may cast."""
    alone = form in (Form.LAST, Form.ONE_PHASE)
    yes = [None, Actual.COMMITTED] if alone else [None]
    casts = [(Vote.YES, actual) for actual in yes]
    casts += [(Vote.NO, None), (Vote.NO, Actual.ABORTED), (Vote.READ_ONLY, Actual.READ_ONLY)]
    cast = [Ballot(seq=seq, vote=vote, actual=actual) for vote, actual in casts]
    return st.sampled_from([*cast, Ballot(seq=seq, vote=Vote.YES, after_commit=True)])


def steps(forms: tuple[Form, ...]) -> st.SearchStrategy[list[Deed]]:
    seqs = st.lists(st.integers(1, len(forms)), min_size=1, max_size=len(forms), unique=True)
    votes = seqs.flatmap(lambda chosen: st.tuples(*(ballots(n, forms[n - 1]) for n in chosen)))
    results = seqs.flatmap(
        lambda chosen: st.tuples(
            *(st.builds(Result, seq=st.just(n), actual=st.sampled_from(Actual)) for n in chosen)
        )
    )
    step = st.one_of(votes.map(Votes), st.sampled_from(Outcome).map(Decides), results.map(Finishes))
    return st.lists(step, min_size=1, max_size=12)


shapes = st.one_of(
    st.just((Form.ONE_PHASE,)),
    st.lists(st.just(Form.PREPARE), min_size=1, max_size=4).map(tuple),
    st.integers(0, 3).map(lambda others: (*[Form.PREPARE] * others, Form.LAST)),
)


@st.composite
def unordered(draw: st.DrawFn) -> Row:
    """The rows of a two-phase commit, of which some may be steps of sagas."""
    forms = draw(shapes)
    modes = {form: st.just(Mode.XA) for form in (Form.LAST, Form.ONE_PHASE)}
    return Row(
        branches=tuple(
            BranchRow(form=form, mode=draw(modes.get(form, st.sampled_from(Mode))))
            for form in forms
        )
    )


@st.composite
def ordered(draw: st.DrawFn) -> Row:
    """The rows of a saga as `Order` arranges them."""
    order = Order("g")
    for number in range(draw(st.integers(1, 5))):
        pivot = draw(st.booleans()) and not any(r.form is Form.PIVOT for r in order.ranks(0))
        before = draw(st.lists(st.integers(1, number), unique=True)) if number else []
        steps = [Step("g", each) for each in before]
        chosen = order.check(draw(st.sampled_from([None, steps])), pivot=pivot)
        order.add(chosen, pivot=pivot)
    ranks = order.ranks(draw(st.integers(0, 1)))
    return Row(
        branches=tuple(
            BranchRow(form=rank.form, mode=draw(st.sampled_from(Mode)), after=rank.after)
            for rank in ranks
        )
    )


def histories(rows_: st.SearchStrategy[Row]) -> st.SearchStrategy[tuple[Row, list[Deed]]]:
    return rows_.flatmap(
        lambda row: st.tuples(st.just(row), steps(tuple(b.form for b in row.branches)))
    )


def in_model(row: Row, step: Deed) -> Row:
    match step:
        case Votes(ballots=cast):
            return machine.record_votes(row, cast)
        case Decides(outcome=outcome):
            return machine.decide(row, outcome)
        case Finishes(results=results):
            return machine.record_results(row, results)


def in_sql(gid: str, step: Deed) -> Standing:
    store = rows.store()
    match step:
        case Votes(ballots=cast):
            standing = store.vote(gid, cast, by=rows.BY)
        case Decides(outcome=outcome):
            standing = store.decide(gid, outcome, reason="asked", by=rows.BY)
        case Finishes(results=results):
            standing = store.finish(gid, results, by=rows.BY)
    assert standing is not None
    return standing


def assert_same_step(gid: str, before: Row, step: Deed) -> Row:
    """One step in both; returns the model's row after it, unchanged when both refused."""
    try:
        after = in_model(before, step)
    except IllegalTransition:
        with pytest.raises(StatementRefused) as refused:
            in_sql(gid, step)
        assert refused.value.sqlstate == (
            UNDECIDED if isinstance(step, Finishes) else LAST_AGENT_REFUSED
        )
        return before
    told = in_sql(gid, step)
    assert (told.outcome, told.pending, told.unfinished, told.ended) == (
        after.outcome,
        after.pending,
        after.unfinished,
        after.ended,
    )
    assert told.decided_now == (before.outcome is None and after.outcome is not None)
    return after


def heuristic_of(row: Row) -> Heuristic:
    """How a row that has ended is to be classified."""
    actuals = [branch.actual for branch in row.branches]
    if Actual.HEURISTIC_HAZARD in actuals:
        return Heuristic.HAZARD
    if not any(actual is not None and actual.heuristic for actual in actuals):
        return Heuristic.NONE
    against = {actual for actual in actuals if actual is not Actual.READ_ONLY}
    if against == {Actual.HEURISTIC_COMMIT}:
        return Heuristic.COMMIT
    return Heuristic.ROLLBACK if against == {Actual.HEURISTIC_ROLLBACK} else Heuristic.MIXED


def assert_told_in_order(gid: str) -> None:
    """Versions without a gap, at most one decision and one end, and the row at the last version."""
    told = list(Event.objects.filter(name=gid).order_by("version").values_list("version", "kind"))
    kinds = [kind for _, kind in told]
    stored = rows.row(gid)
    assert [version for version, _ in told] == list(range(1, stored.version + 1))
    assert kinds.count("transaction.decided") == (stored.outcome is not None)
    assert kinds.count("transaction.ended") == (stored.ended_at is not None)


many = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@many
@given(history=histories(unordered()))
def test_any_history_ends_as_in_the_reference_model(history: tuple[Row, list[Deed]]) -> None:
    assert_same_history(*history, protocol=Protocol.TWO_PHASE)


@many
@given(history=histories(ordered()))
def test_any_history_of_a_saga_ends_as_in_the_reference_model(
    history: tuple[Row, list[Deed]],
) -> None:
    assert_same_history(*history, protocol=Protocol.SAGA)


def assert_same_history(model: Row, taken: list[Deed], *, protocol: Protocol) -> None:
    gid = rows.begun_as(model.branches, protocol=protocol)

    for step in taken:
        model = assert_same_step(gid, model, step)

    stored = rows.row(gid)
    votes = stored.branches.order_by("seq").values_list("vote", "actual")
    assert list(votes) == [(branch.vote, branch.actual) for branch in model.branches]
    assert stored.heuristic == (heuristic_of(model) if model.ended else Heuristic.NONE)
    assert_told_in_order(gid)


def test_a_forced_abort_that_meets_a_commit_in_one_phase_is_a_heuristic() -> None:
    gid, store = rows.begun(Form.ONE_PHASE), rows.store()

    unforced = store.decide(gid, Outcome.ABORTED, reason="asked", by=rows.BY)
    forced = store.decide(gid, Outcome.ABORTED, reason="forced", by=rows.BY, force=True)
    voted = store.vote(gid, [Ballot(seq=1, vote=Vote.YES, actual=Actual.COMMITTED)], by=rows.BY)

    assert unforced is not None
    assert forced is not None
    assert voted is not None
    assert (unforced.outcome, forced.outcome, voted.ended) == (None, Outcome.ABORTED, True)
    assert rows.row(gid).heuristic == Heuristic.COMMIT


@pytest.mark.parametrize("other", ["aborted", None])
def test_no_statement_can_change_an_outcome(other: str | None) -> None:
    gid = rows.begun()
    in_sql(gid, Votes((Ballot(seq=1, vote=Vote.YES),)))

    with pytest.raises(IntegrityError, match="cannot become"), transaction.atomic():
        Transaction.objects.filter(gid=gid).update(outcome=other)

    assert rows.row(gid).outcome == "committed"


def test_what_is_unknown_is_answered_with_nothing_and_leaves_nothing() -> None:
    gid, store = rows.new_gid(), rows.store()

    assert store.vote(gid, [Ballot(seq=1, vote=Vote.YES)], by=rows.BY) is None
    assert store.decide(gid, Outcome.ABORTED, reason="asked", by=rows.BY) is None
    assert store.finish(gid, [Result(seq=1, actual=Actual.COMMITTED)], by=rows.BY) is None
    assert store.note(gid, "branch.sent", data={}, by=rows.BY) is False
    assert store.claim(gid, [1]) == []
    assert store.standing(gid) is None
    assert not Event.objects.filter(name=gid).exists()


def test_a_ballot_of_a_branch_that_is_not_there_counts_for_nothing() -> None:
    gid = rows.begun(Form.PREPARE)

    told = in_sql(gid, Votes((Ballot(seq=9, vote=Vote.NO),)))

    assert (told.outcome, told.pending) == (None, 1)


def test_the_first_no_gives_the_reason() -> None:
    gid, store = rows.begun(Form.PREPARE, Form.PREPARE), rows.store()
    store.vote(gid, [Ballot(seq=1, vote=Vote.NO, reason="first")], by=rows.BY)
    store.vote(gid, [Ballot(seq=2, vote=Vote.NO, reason="second")], by=rows.BY)

    assert rows.row(gid).reason == "test.rows.1 voted no: first"


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b", "x" * 100_000])
def test_any_reason_can_be_stored(text: str) -> None:
    gid, store = rows.begun(Form.PREPARE), rows.store()

    told = store.vote(gid, [Ballot(seq=1, vote=Vote.NO, reason=text)], by=rows.BY)

    assert told is not None
    assert told.outcome is Outcome.ABORTED
    assert len(rows.row(gid).reason) < 2_100


def test_begin_is_idempotent_by_gid_and_tells_what_stands_there() -> None:
    gid, store = rows.new_gid(), rows.store()
    first = store.begin(rows.new(gid, digest="one"))
    store.decide(gid, Outcome.ABORTED, reason="enough", by=rows.BY)
    second = store.begin(rows.new(gid, [Form.PREPARE] * 3, digest="two"))

    assert (first.created, second.created) == (True, False)
    assert (second.digest, second.outcome, second.reason) == ("one", Outcome.ABORTED, "enough")
    assert rows.row(gid).branches.count() == 1
    assert Event.objects.filter(name=gid, kind="transaction.begun").count() == 1


def test_of_many_that_begin_one_transaction_at_once_one_creates_it() -> None:
    for _ in range(20):
        gid = rows.new_gid()
        answers = at_once(*[partial(rows.store().begin, rows.new(gid))] * 6)

        assert sorted(answer.created for answer in answers) == [False] * 5 + [True]
        assert {answer.digest for answer in answers} == {"d"}
        assert rows.row(gid).branches.count() == 1


def test_a_last_agent_of_a_transaction_without_a_row_may_not_commit() -> None:
    store = rows.store()
    ballot = Ballot(seq=1, vote=Vote.YES)
    statement = store.vote_statement(rows.new_gid(), [ballot], must_decide=True, by=rows.BY)
    with pytest.raises(StatementRefused) as refused:
        database.run(store.using, statement)
    assert refused.value.sqlstate == LAST_AGENT_REFUSED
