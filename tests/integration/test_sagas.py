"""Sagas whose steps live in the calling process: order, compensation, pivot, mixed modes."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from celery import signature

from coordination import Saga, distributed_transaction, queue
from coordination.exceptions import InvalidArgument, TransactionAborted
from coordination.transactions import participants, runner
from coordination.transactions.context import Context
from coordination.transactions.ended import named
from coordination.transactions.examination import Examiner
from coordination.transactions.tables import Branch, Transaction
from coordination.transactions.types import Outcome
from tests.contract import places
from tests.contract.places import LITE, execute
from tests.contract.threads import disconnected
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import broker, ledger, saga_steps
from tests.integration.saga_steps import hooks, journal
from tests.queue_stores import redis_queues

__all__ = ["redis_queues"]

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)


@pytest.fixture(autouse=True)
def _journals(transactional_db: None) -> Iterator[None]:
    with saga_steps.journals():
        yield


def saga(**options: Any) -> Any:
    return distributed_transaction("order", protocol="saga", **options)


def branches(gid: str) -> list[tuple[str | None, str | None]]:
    return list(
        Branch.objects.filter(transaction=gid).order_by("seq").values_list("vote", "actual")
    )


def test_each_step_comes_after_the_one_before_and_nothing_is_left_to_do_after_the_last() -> None:
    with saga() as tx:
        tx.enlist("test.saga.a", step="1", cents=-10)
        tx.enlist("test.saga.b", step="2", cents=4)
        tx.enlist("test.saga.home", step="3", cents=6)

    row = Transaction.objects.get(gid=tx.gid)
    assert journal() == ["action 1", "action 2", "action 3"]
    assert (row.outcome, row.unfinished, row.ended_at == row.decided_at) == ("committed", 0, False)
    assert branches(tx.gid) == [("yes", "committed")] * 3


def test_a_no_compensates_what_was_done_in_reverse_and_asks_nobody_else() -> None:
    with pytest.raises(TransactionAborted, match="asked to refuse"), saga() as tx:
        tx.enlist("test.saga.a", step="1", cents=-10)
        tx.enlist("test.saga.home", step="2", cents=4)
        tx.enlist("test.saga.b", step="3", cents=6, refuse=True)
        tx.enlist("test.saga.a", step="4", cents=1)

    row = Transaction.objects.get(gid=tx.gid)
    assert journal() == ["action 1", "action 2", "compensate 2", "compensate 1"]
    assert [ledger.amount(using) for using in ALIASES] == [100, 100, 100]
    assert (row.outcome, row.unfinished, row.ended_at is not None) == ("aborted", 0, True)
    assert branches(tx.gid)[2:] == [("no", "aborted"), (None, "aborted")]


def test_steps_without_an_order_among_them_are_all_done_before_what_comes_after_all() -> None:
    with saga() as tx:
        one = tx.enlist("test.saga.a", step="1", cents=-10)
        two = tx.enlist("test.saga.b", after=[], step="2", cents=4)
        tx.enlist("test.saga.home", after=[one, two], step="3", cents=6)

    told = journal()
    assert set(told[:2]) == {"action 1", "action 2"}
    assert told[2] == "action 3"


def test_behind_the_pivot_steps_are_done_until_they_succeed() -> None:
    def fails() -> None:
        raise RuntimeError("not today")

    hooks["3.action"] = fails
    with saga() as tx:
        tx.enlist("test.saga.a", step="1", cents=-10)
        tx.enlist("test.saga.ship_b", pivot=True, step="2", cents=4)
        tx.enlist("test.saga.ship_a", step="3", cents=6)

    assert tx.result() == "committed"
    assert journal() == ["action 1", "action 2"]
    assert Branch.objects.get(transaction=tx.gid, seq=3).last_error.endswith("not today")


def test_the_pivots_no_compensates_and_what_lies_behind_is_never_done() -> None:
    with pytest.raises(TransactionAborted), saga() as tx:
        tx.enlist("test.saga.b", step="1", cents=-10)
        tx.enlist("test.saga.ship_a", pivot=True, step="2", cents=4, refuse=True)
        tx.enlist("test.saga.ship_b", step="3", cents=6)

    assert journal() == ["action 1", "compensate 1"]
    assert branches(tx.gid)[1:] == [("no", "aborted"), (None, "aborted")]


def test_the_pivot_waits_for_all_that_may_say_no() -> None:
    with saga() as tx:
        tx.enlist("test.saga.ship_b", pivot=True, step="pivot", cents=4)
        tx.enlist("test.saga.a", after=[], step="1", cents=-10)
        tx.enlist("test.saga.home", step="2", cents=4)

    assert journal() == ["action 1", "action 2", "action pivot"]


def test_prepared_and_reserved_steps_hold_until_the_decision() -> None:
    with saga() as tx:
        tx.enlist("test.saga.xa_a", step="1", cents=-10)
        tx.enlist("test.saga.hold_b", step="2", cents=4)
        tx.enlist("test.saga.home", step="3", cents=6)

    assert (saga_steps.total(), ledger.prepared("bank_a")) == (300, [])
    assert [word for word in journal() if word.endswith("2")] == ["reserve 2", "confirm 2"]
    assert branches(tx.gid) == [("yes", "committed")] * 3


def test_prepared_and_reserved_steps_are_undone_with_the_others() -> None:
    with pytest.raises(TransactionAborted), saga() as tx:
        tx.enlist("test.saga.xa_a", step="1", cents=-10)
        tx.enlist("test.saga.hold_b", step="2", cents=4)
        tx.enlist("test.saga.home", step="3", cents=6, refuse=True)

    assert [ledger.amount(using) for using in ALIASES] == [100, 100, 100]
    assert journal() == ["reserve 2", "cancel 2"]
    assert ledger.prepared("bank_a") == []


def test_of_any_mode_a_step_behind_the_pivot_is_done_after_the_decision() -> None:
    with saga() as tx:
        tx.enlist("test.saga.ship_b", pivot=True, step="1", cents=-10)
        tx.enlist("test.saga.xa_a", step="2", cents=4)
        tx.enlist("test.saga.hold_b", step="3", cents=6)
        tx.enlist("test.saga.home", step="4", cents=0)

    told = ["action 1", "prepared 2", "reserve 3", "confirm 3", "action 4"]
    assert journal() == told
    assert branches(tx.gid) == [("yes", "committed"), *[(None, "committed")] * 3]


@pytest.mark.parametrize("refuse", [False, True])
def test_a_saga_step_in_a_two_phase_commit_is_seen_at_once_and_compensated(refuse: bool) -> None:
    tx = distributed_transaction("mixed")
    tx.enlist("test.saga.a", step="1", cents=-10)
    tx.enlist("test.b.add", cents=500 if not refuse else -500)
    tx.submit()

    committed = tx.result() == "committed"
    assert committed is not refuse
    assert journal() == (["action 1"] if committed else ["action 1", "compensate 1"])
    assert Transaction.objects.get(gid=tx.gid).unfinished == 0


@pytest.fixture
def lite_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A SQLite database, and a participant that lives in it, for one test."""
    monkeypatch.setattr(participants, "_registry", dict(participants.registered()))

    class LiteStep(Saga):
        """A step in a SQLite database."""

        name = "test.saga.lite"
        using = LITE

        def action(self, ctx: Context, cents: int, refuse: bool = False) -> None:
            execute(LITE, "UPDATE account SET held = held + %s", cents)
            if refuse:
                ctx.vote_no("asked to refuse")

        def compensate(self, ctx: Context, cents: int, refuse: bool = False) -> None:
            execute(LITE, "UPDATE account SET held = held - %s", cents)

    with places.sqlite(tmp_path):
        execute(LITE, "CREATE TABLE account (held int NOT NULL)")
        execute(LITE, "INSERT INTO account VALUES (0)")
        yield


@pytest.mark.parametrize("refuse", [False, True])
def test_a_step_may_live_in_sqlite(refuse: bool, lite_step: None) -> None:
    tx = saga()
    tx.enlist("test.saga.lite", cents=10)
    tx.enlist("test.saga.a", step="2", cents=-10, refuse=refuse)
    tx.submit()

    assert execute(LITE, "SELECT held FROM account") == [(0 if refuse else 10,)]
    assert tx.result(until="applied") == ("aborted" if refuse else "committed")


def test_what_a_saga_publishes_is_seen_once_it_is_decided(redis_queues: str) -> None:
    mails = queue(f"mails:{secrets.token_hex(4)}", using=redis_queues)
    seen: list[int] = []
    hooks["1.action"] = hooks["pivot.action"] = lambda: seen.append(mails.stats().ready)

    with saga() as tx:
        tx.enlist("test.saga.a", step="1", cents=-10)
        tx.enlist("test.saga.ship_b", pivot=True, step="pivot", cents=10)
        tx.publish(mails, {"order": 1})

    assert tx.result(until="applied") == "committed"
    assert (seen, mails.stats().ready) == ([0, 0], 1)


def test_what_an_aborted_saga_publishes_and_adds_is_never_seen(redis_queues: str) -> None:
    mails = queue(f"mails:{secrets.token_hex(4)}", using=redis_queues)
    full = queue(f"full:{secrets.token_hex(4)}", using=redis_queues, max_length=1)
    full.publish({})

    with pytest.raises(TransactionAborted), saga() as tx:
        tx.publish(mails, {"order": 1})
        tx.publish(full, {"order": 1})
        tx.add(f"sold:{secrets.token_hex(4)}", 1)
        tx.enlist("test.saga.a", step="1", cents=-10)

    assert tx.result(until="applied") == "aborted"
    assert journal() == ["action 1", "compensate 1"]
    assert (mails.stats().ready, mails.stats().held) == (0, 0)


def test_a_key_names_one_order_of_steps() -> None:
    for _ in range(2):
        tx = saga(key="k")
        tx.enlist("test.saga.a", step="1", cents=-10)
        tx.enlist("test.saga.b", step="2", cents=10)
        tx.submit()
        assert tx.result() == "committed"
    other = saga(key="k")
    other.enlist("test.saga.a", step="1", cents=-10)
    other.enlist("test.saga.b", after=[], step="2", cents=10)

    with pytest.raises(InvalidArgument, match="other branches"):
        other.submit()
    assert journal() == ["action 1", "action 2"]


def test_what_is_to_run_after_a_step_is_sent_once_the_saga_is_committed() -> None:
    broker.clear()
    with saga() as tx:
        tx.enlist("test.saga.signs_a", step="1", cents=0)
        tx.enlist("test.saga.signs_b", pivot=True, step="2", cents=0)
        tx.enlist("test.saga.signs_a", step="3", cents=0)

    told = [message.args for message in broker.messages("test.signed")]
    assert sorted(told) == [["1"], ["2"], ["3"]]
    assert tx.result(until="applied") == "committed"


def test_what_is_to_run_after_a_step_is_not_sent_for_an_aborted_saga() -> None:
    broker.clear()
    with pytest.raises(TransactionAborted), saga() as tx:
        tx.enlist("test.saga.signs_a", step="1", cents=0)
        tx.enlist("test.saga.a", step="2", cents=0, refuse=True)

    assert broker.messages("test.signed") == []


def test_an_audited_saga_breaks_no_rule() -> None:
    with saga() as tx:
        tx.enlist("test.saga.a", step="1", cents=-10)
        tx.enlist("test.saga.ship_b", pivot=True, step="2", cents=4)
        tx.enlist("test.saga.xa_a", step="3", cents=0)
    with pytest.raises(TransactionAborted), saga() as other:
        other.enlist("test.saga.b", step="1", cents=-10)
        other.enlist("test.saga.a", step="2", cents=4, refuse=True)
        other.enlist("test.saga.home", step="3", cents=4)
    for each in (tx, other):
        each.result(until="applied")

    ended = named("default", [tx.gid, other.gid], within_ms=60_000)
    found = Examiner(node="bank").examine(ended)

    assert len(found.judged) == 2
    assert found.findings == ()


@pytest.mark.parametrize("refuse", [False, True])
def test_the_continuation_of_a_saga_is_sent_with_its_decision(refuse: bool) -> None:
    broker.clear()
    tx = saga(then=signature("test.then", queue="test.then"))
    tx.enlist("test.saga.a", step="1", cents=-10)
    tx.enlist("test.saga.b", step="2", cents=10, refuse=refuse)
    tx.submit()

    (message,) = broker.messages("test.then")
    assert message.args[0]["ok"] is not refuse
    assert tx.result(until="applied") == ("aborted" if refuse else "committed")


def test_an_operators_force_against_a_pivot_that_has_acted_is_a_heuristic() -> None:
    tx = saga(wait=False)
    tx.enlist("test.saga.a", step="1", cents=-10)
    tx.enlist("test.saga.ship_b", pivot=True, step="2", cents=10)
    hooks["2.action"] = partial(_decide_by_force, tx.gid)
    tx.submit()

    row = Transaction.objects.get(gid=tx.gid)
    assert (row.outcome, row.heuristic) == ("aborted", "mixed")
    assert branches(tx.gid) == [("yes", "aborted"), ("yes", "heuristic_commit")]
    assert journal() == ["action 1", "action 2", "compensate 1"]


def _decide_by_force(gid: str) -> None:
    with ThreadPoolExecutor(1) as thread:
        forced = partial(runner.decide, gid, Outcome.ABORTED, reason="by a test", force=True)
        thread.submit(disconnected, forced).result(10)
