"""A participant whose database does not answer is left alone, told of, and tried again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial

import pytest
from django.db import connections

from coordination import distributed_transaction
from coordination.exceptions import TransactionAborted
from coordination.kernel import breaker as machine
from coordination.kernel.breaker import FAILURES_MAX
from coordination.observing.tables import Event
from coordination.transactions import breakers, operations, runner, worker
from coordination.transactions.branches.answer import InDoubt
from coordination.transactions.coordinator import store
from coordination.transactions.tables import Branch, Transaction
from coordination.transactions.types import Form, Mode, Outcome, Work
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import broker, ledger
from tests.integration.test_sweeper import begun, sweep, work_off

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

WHO = {"actor": "an operator", "reason": "the network is back"}


@pytest.fixture(autouse=True)
def _ledgers(transactional_db: None) -> Iterator[None]:
    broker.clear()
    with ledger.ledgers():
        yield


@contextmanager
def out_of_reach(using: str) -> Iterator[list[str]]:
    """Nobody can connect to the database; gives what was tried meanwhile."""
    settings, tried = connections[using].settings_dict, list[str]()
    port, connect = settings["PORT"], connections[using].connect

    def counted() -> None:
        tried.append(using)
        connect()

    connections[using].close()
    settings["PORT"] = "1"
    connections[using].connect = counted
    try:
        yield tried
    finally:
        del connections[using].connect
        connections[using].close()
        settings["PORT"] = port


def row(gid: str) -> Transaction:
    return Transaction.objects.get(gid=gid)


def prepared_in_both() -> str:
    """Both branches prepared, the decision made, and the messages to end them lost."""
    gid = begun()
    for seq in (1, 2):
        (work,) = store().claim(gid, [seq])
        runner.cast(gid, runner.answer(work), electorate=None)
    assert row(gid).outcome == "committed"
    return gid


def fail(gid: str, times: int = FAILURES_MAX) -> None:
    for _ in range(times):
        ledger.execute("default", "UPDATE concord_branch SET next_at = NULL")
        worker.finish(gid, [2])


def test_after_so_many_failures_nobody_asks_it_any_more() -> None:
    gid = prepared_in_both()
    with out_of_reach("bank_b") as tried:
        fail(gid)
        before = len(tried)
        fail(gid, 20)

    assert before >= FAILURES_MAX
    assert len(tried) == before


def test_what_waits_says_for_whom_and_why_and_when_it_is_tried_again() -> None:
    gid = prepared_in_both()
    with out_of_reach("bank_b"):
        fail(gid, FAILURES_MAX + 1)

    told = Branch.objects.get(transaction=gid, seq=2)
    assert "test.b.add is unavailable since 0 s (cannot connect to database" in told.last_error
    assert "it is tried again in" in told.last_error
    assert told.next_at is not None
    delays = Event.objects.filter(name=gid, kind="branch.delayed").order_by("version")
    assert delays.last().data["retry_in_ms"] >= 500


def test_it_never_gives_up_and_ends_as_soon_as_the_database_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_ms = breakers._now_ms
    gid = prepared_in_both()
    with out_of_reach("bank_b"):
        fail(gid, FAILURES_MAX + 3)
    fail(gid, 1)
    assert row(gid).ended_at is None  # its pause is not over
    monkeypatch.setattr(breakers, "_now_ms", lambda: now_ms() + machine.PAUSE_CAP_MS)
    worker.finish(gid, [1, 2])

    assert row(gid).ended_at is not None
    assert (ledger.amount("bank_a"), ledger.amount("bank_b")) == (90, 110)


def test_other_participants_go_on() -> None:
    gid = prepared_in_both()
    with out_of_reach("bank_b"):
        fail(gid)
        with distributed_transaction("elsewhere") as tx:
            tx.enlist("test.a.read")
            tx.enlist("test.home.add", cents=1)

    assert row(tx.gid).outcome == "committed"


def attempt() -> TransactionAborted | None:
    tx = distributed_transaction("attempt", wait=False, deadline=60)
    tx.enlist("test.a.read")
    tx.enlist("test.b.add", cents=1)
    tx.submit()
    if row(tx.gid).outcome == "aborted":
        return TransactionAborted(row(tx.gid).reason, gid=tx.gid)
    return None


def test_a_vote_is_a_no_at_once_and_says_why() -> None:
    with out_of_reach("bank_b") as tried:
        for _ in range(FAILURES_MAX):
            refused = attempt()
            if refused is not None:
                break
        before = len(tried)
        refused = attempt()
        assert len(tried) == before

    assert refused is not None
    assert "branch 2 had voted no: test.b.add is unavailable since" in str(refused)
    assert ledger.prepared("bank_a") == []
    assert row(refused.gid).ended_at is not None


def test_a_branch_that_may_be_prepared_already_is_undone_after_such_a_no() -> None:
    gid = begun()
    (work,) = store().claim(gid, [2])
    runner.answer(work)  # prepared, and the vote was lost
    with out_of_reach("bank_b"):
        for _ in range(FAILURES_MAX):
            with suppress(InDoubt):
                runner.answer(work)
        worker.prepare(gid, [1, 2])
    assert (row(gid).outcome, row(gid).ended_at) == ("aborted", None)
    breakers.clear()
    sweep()
    work_off()

    assert row(gid).ended_at is not None
    assert (ledger.prepared("bank_b"), ledger.amount("bank_b")) == ([], 100)


def test_what_commits_in_one_phase_gets_no_answer_from_anybody_but_its_database() -> None:
    gid = begun([("test.b.add", {"cents": 1})])
    with out_of_reach("bank_b"):
        for _ in range(FAILURES_MAX + 2):
            assert worker.prepare(gid, [1]) == "later"
    assert (row(gid).outcome, Branch.objects.get(transaction=gid).vote) == (None, None)
    breakers.clear()
    sweep()
    work_off()

    assert (row(gid).outcome, ledger.amount("bank_b")) == ("committed", 101)


def test_retry_all_now_tries_everything_that_waits_in_every_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gids = [prepared_in_both(), begun([("test.home.add", {"cents": 1})])]
    with out_of_reach("bank_b"):
        fail(gids[0], FAILURES_MAX + 1)
    # What another process has of it: its own breakers, which nobody else can reach.
    monkeypatch.setattr(breakers, "clear", lambda: None)
    monkeypatch.setattr(breakers, "LOOK_EVERY_MS", 0)
    breakers._process._look_at_ms = 0

    assert operations.retry_all_now(**WHO) == len(gids)
    work_off()

    assert all(row(gid).ended_at is not None for gid in gids)
    resolved = Event.objects.filter(kind="transaction.resolved", name__in=gids)
    assert [each.data["action"] for each in resolved] == ["retry"] * len(gids)


def an_end(participant: str, error: Exception | None) -> Callable[[], None]:
    def attempted() -> None:
        work = Work(
            gid="bank-00000000-0000000000000000",
            seq=1,
            participant=participant,
            using="bank_a",
            mode=Mode.XA,
            form=Form.PREPARE,
            outcome=Outcome.COMMITTED,
        )
        assert breakers.asked(work) is None
        with breakers.watched(work):
            if error is not None:
                raise error

    return attempted


def test_an_answer_of_any_kind_between_failures_keeps_it_closed() -> None:
    failing = an_end("test.flaky", InDoubt("no answer"))
    for _ in range(3 * FAILURES_MAX):
        for _ in range(FAILURES_MAX - 1):
            with pytest.raises(InDoubt):
                failing()
        an_end("test.flaky", None)()


def test_a_last_agent_that_answers_again_closes_its_breaker() -> None:
    name = "test.home.add"
    for _ in range(FAILURES_MAX):
        breakers._process.failed(name, "no answer")
    breaker, why = breakers._process._failing[name]
    breakers._process._failing[name] = (replace(breaker, until_ms=0), why)

    with distributed_transaction("last") as tx:
        tx.enlist("test.a.add", cents=1)
        tx.enlist(name, cents=1)

    assert Branch.objects.get(transaction=tx.gid, seq=2).form == "last"
    assert breakers._process._failing == {}


def test_of_several_that_are_asked_for_together_none_counts_as_tried_where_one_is_refused() -> None:
    works = [partial(Work, gid="g", seq=1, using="x", mode=Mode.XA, form=Form.PREPARE)]
    one, two = works[0](participant="test.one"), works[0](participant="test.two")
    for work in (one, two):
        for _ in range(FAILURES_MAX):
            breakers._process.failed(work.participant, "no answer")
    before = dict(breakers._process._failing)

    assert breakers.asked(one, two) is not None
    assert breakers._process._failing == before
