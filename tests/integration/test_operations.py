"""What an operator may do: only through the register, only with a reason, and always recorded."""

from collections.abc import Iterator
from typing import Any

import pytest

from coordination import distributed_transaction
from coordination.exceptions import InvalidArgument
from coordination.observing.tables import Event
from coordination.transactions import operations, orphans, worker
from coordination.transactions.tables import Branch, Transaction
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import broker, ledger

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

WHO = {"actor": "an operator", "reason": "the customer called"}


@pytest.fixture(autouse=True)
def _ledgers(transactional_db: None) -> Iterator[None]:
    with ledger.ledgers():
        broker.clear()
        yield


def in_doubt() -> str:
    """Prepared in bank_a, while the message to the other participant is still on its way."""
    tx = distributed_transaction("doubt", wait=False, deadline=600)
    tx.enlist("bank.a.deposit", account=1, cents=1)
    tx.enlist("test.a.add", cents=5)
    tx.submit()
    assert ledger.prepared("bank_a") == [f"cc:{tx.gid}:2"]
    broker.clear()
    return tx.gid


def done() -> str:
    with distributed_transaction("done") as tx:
        tx.enlist("test.home.add", cents=5)
        tx.enlist("test.b.add", cents=5)
    return tx.gid


def row(gid: str) -> Transaction:
    return Transaction.objects.get(gid=gid)


def resolved(gid: str) -> list[dict[str, Any]]:
    told = Event.objects.filter(name=gid, kind="transaction.resolved").order_by("version")
    return list(told.values_list("data", flat=True))


def work_off() -> None:
    for message in broker.messages("bank.finish"):
        worker.finish(**message.kwargs)


def test_an_abort_ends_what_is_in_doubt_and_says_who_and_why() -> None:
    gid = in_doubt()

    told = operations.resolve(gid, outcome="aborted", **WHO)
    work_off()

    assert (told.outcome, told.changed) == ("aborted", True)
    assert row(gid).reason == "resolved by an operator: the customer called"
    assert row(gid).decided_by == "an operator"
    assert row(gid).ended_at is not None
    assert row(gid).heuristic == ""
    assert resolved(gid) == [{"action": "abort", **WHO}]
    assert (ledger.prepared("bank_a"), ledger.amount("bank_a")) == ([], 100)


def test_a_commit_without_every_vote_is_refused_and_changes_nothing() -> None:
    gid = in_doubt()

    with pytest.raises(InvalidArgument, match="cannot be committed: 1 votes are missing"):
        operations.resolve(gid, outcome="committed", **WHO)

    assert (row(gid).outcome, resolved(gid)) == (None, [])


@pytest.mark.parametrize("wish", ["committed", "aborted"])
def test_after_the_decision_the_answer_is_the_outcome_that_holds(wish: str) -> None:
    gid = done()

    told = operations.resolve(gid, outcome=wish, **WHO)

    assert (told.outcome, told.changed) == ("committed", False)
    assert row(gid).outcome == "committed"
    assert ledger.amount("bank_b") == 105


@pytest.mark.parametrize("reason", ["", "   ", "too short", None, 7, " " * 20])
def test_a_reason_of_ten_characters_is_needed(reason: Any) -> None:
    gid = in_doubt()
    calls: list[Any] = [
        lambda: operations.resolve(gid, outcome="aborted", actor="x", reason=reason),
        lambda: operations.retry_now([gid], actor="x", reason=reason),
        lambda: operations.resolve_orphan(gid, outcome="aborted", actor="x", reason=reason),
    ]
    for call in calls:
        with pytest.raises(InvalidArgument, match="reason of at least 10"):
            call()
    assert (row(gid).outcome, resolved(gid)) == (None, [])


@pytest.mark.parametrize("outcome", ["", "commit", "COMMITTED", None, 1])
def test_an_outcome_is_committed_or_aborted(outcome: Any) -> None:
    gid = in_doubt()
    with pytest.raises(InvalidArgument, match="outcome must be 'committed' or 'aborted'"):
        operations.resolve(gid, outcome=outcome, **WHO)


@pytest.mark.parametrize("gid", ["", "nonsense", "bank-00000000-0000000000000000", None])
def test_an_unknown_transaction_is_said_to_be_unknown(gid: Any) -> None:
    with pytest.raises(InvalidArgument, match="never begun, or forgotten"):
        operations.resolve(gid, outcome="aborted", **WHO)


def test_an_actor_and_a_reason_of_any_length_are_recorded() -> None:
    gid = in_doubt()

    operations.resolve(gid, outcome="aborted", actor="a" * 150, reason="r" * 5_000 + "\x00")

    assert row(gid).decided_by == "a" * 100
    assert resolved(gid)[0]["actor"] == "a" * 150
    assert row(gid).reason.startswith(f"resolved by {'a' * 150}: rrrr")


def test_retry_sends_what_is_waited_for_and_is_recorded() -> None:
    gid, ended = in_doubt(), done()
    Branch.objects.filter(transaction=gid).update(next_at="2999-01-01T00:00Z")

    assert operations.retry_now([gid, ended, "nonsense"], **WHO) == 1

    assert [each.kwargs for each in broker.messages("bank.prepare")] == [{"gid": gid, "seqs": [1]}]
    assert resolved(gid) == [{"action": "retry", **WHO}]
    assert resolved(ended) == []


def test_a_forced_abort_of_a_single_branch_is_told_by_its_witness() -> None:
    """The branch may have committed without having said so; then the abort is a heuristic."""
    tx = distributed_transaction("alone", wait=False, deadline=600)
    tx.enlist("bank.a.deposit", account=1, cents=1)
    tx.submit()
    Branch.objects.filter(transaction=tx.gid).update(participant="test.a.add", args={"cents": 5})
    assert Branch.objects.get(transaction=tx.gid).form == "one_phase"

    operations.resolve(tx.gid, outcome="aborted", **WHO)
    work_off()
    worker.prepare(tx.gid, [1])

    assert (row(tx.gid).outcome, row(tx.gid).heuristic) == ("aborted", "")
    assert ledger.amount("bank_a") == 100


def orphaned() -> str:
    """Prepared in bank_a, its transaction forgotten."""
    gid = in_doubt()
    Branch.objects.filter(transaction=gid).delete()
    Transaction.objects.filter(gid=gid).delete()
    return gid


@pytest.mark.parametrize(("outcome", "amount"), [("committed", 105), ("aborted", 100)])
def test_a_prepared_branch_without_a_row_is_left_alone_until_somebody_decides(
    outcome: str, amount: int
) -> None:
    gid = orphaned()
    assert orphans.sweep(min_age_s=0) == 0
    assert ledger.prepared("bank_a") == [f"cc:{gid}:2"]

    assert operations.resolve_orphan(gid, outcome=outcome, **WHO) == 1

    assert (ledger.prepared("bank_a"), ledger.amount("bank_a")) == ([], amount)


def test_a_branch_with_a_row_is_no_orphan() -> None:
    gid = in_doubt()
    with pytest.raises(InvalidArgument, match="has a row; resolve it through its register"):
        operations.resolve_orphan(gid, outcome="aborted", **WHO)
    assert ledger.prepared("bank_a") == [f"cc:{gid}:2"]
