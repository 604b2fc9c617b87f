"""Sagas whose steps are run by workers, also by those of another project."""

from collections.abc import Iterator
from typing import Any

import pytest

from coordination import distributed_transaction
from coordination.transactions.tables import Branch, Transaction
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import broker, saga_steps
from tests.integration.saga_runs import (
    EXPIRED,
    assert_all_or_nothing,
    by_workers,
    deliver,
    enlist_pivot,
    enlist_three,
    sweep_until_it_ended,
    taken,
    work_off,
)
from tests.integration.saga_steps import hooks, journal

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)


@pytest.fixture(autouse=True)
def _journals(transactional_db: None) -> Iterator[None]:
    broker.clear()
    with saga_steps.journals():
        yield
    broker.clear()


def saga(**options: Any) -> Any:
    return distributed_transaction("order", protocol="saga", wait=False, **options)


def test_one_worker_goes_on_with_the_steps_of_its_node() -> None:
    with by_workers():
        tx = saga()
        enlist_three(tx)
        tx.submit()
        messages = taken()
        deliver(messages)

        assert messages == [("bank.prepare", {"gid": tx.gid, "seqs": [1]})]
        assert taken() == []
    assert_all_or_nothing(Transaction.objects.get(gid=tx.gid))


def test_steps_at_once_go_to_workers_of_their_own_where_messages_are_divided() -> None:
    with by_workers(branches_per_message=1):
        tx = saga()
        first = tx.enlist("test.saga.a", step="1", cents=-10)
        tx.enlist("test.saga.b", after=[first], step="2", cents=4)
        tx.enlist("test.saga.home", after=[first], step="3", cents=6)
        tx.submit()
        deliver(taken())

        assert taken() == [("bank.prepare", {"gid": tx.gid, "seqs": [3]})]
        assert journal() == ["action 1", "action 2"]


def test_a_step_without_an_order_is_asked_for_at_once_and_no_other() -> None:
    with by_workers():
        tx = saga()
        tx.enlist("test.saga.a", step="1", cents=-10)
        tx.enlist("test.saga.b", step="2", cents=4)
        tx.enlist("test.saga.home", after=[], step="3", cents=6)
        tx.submit()

        assert taken() == [("bank.prepare", {"gid": tx.gid, "seqs": [1, 3]})]


def test_a_message_to_act_that_the_abort_has_overtaken_compensates_nobody_out_of_turn() -> None:
    def fails() -> None:
        raise RuntimeError("not today")

    hooks["2.compensate"] = fails
    with by_workers():
        tx = saga()
        enlist_three(tx, refuse=True)
        tx.submit()
        messages = taken()
        deliver(messages)
        deliver(messages)  # step 1 is asked to act once more, while step 2 is to be compensated

        assert journal() == ["action 1", "action 2"]
        hooks.clear()
        assert_all_or_nothing(sweep_until_it_ended(tx.gid))


def test_a_compensation_that_fails_is_shown_and_tried_until_it_succeeds() -> None:
    def fails() -> None:
        raise RuntimeError("not today")

    hooks["2.compensate"] = fails
    tx = saga()
    enlist_three(tx, refuse=True)
    tx.submit()
    for _ in range(3):
        with pytest.raises(AssertionError):
            sweep_until_it_ended(tx.gid)
    waiting = Branch.objects.get(transaction=tx.gid, seq=2)

    assert "not today" in waiting.last_error
    assert waiting.attempts > 10
    assert journal() == ["action 1", "action 2"]
    hooks.clear()
    assert_all_or_nothing(sweep_until_it_ended(tx.gid))


@pytest.mark.parametrize("enlist", [enlist_three, enlist_pivot])
def test_a_saga_whose_deadline_passes_is_undone(enlist: Any) -> None:
    def fails() -> None:
        raise SystemExit  # the worker dies

    hooks["2.action"] = fails
    with by_workers():
        tx = saga()
        enlist(tx)
        tx.submit()
        with pytest.raises(SystemExit):
            deliver(taken())
        hooks.clear()
        saga_steps.execute("default", EXPIRED)
        row = sweep_until_it_ended(tx.gid)

    assert row.outcome == "aborted"
    assert "deadline" in row.reason
    assert_all_or_nothing(row)


def test_a_cancel_undoes_it_until_the_pivot_is_asked() -> None:
    with by_workers():
        tx = saga()
        enlist_pivot(tx)
        tx.submit()
        assert tx.cancel() == "aborted"
        work_off()
    assert journal() == []

    with by_workers(branches_per_message=1):
        tx = saga()
        tx.enlist("test.saga.ship_b", pivot=True, step="1", cents=4)
        tx.submit()
        assert tx.cancel() is None  # only the pivot's own answer decides now
        work_off()
    assert tx.result() == "committed"
