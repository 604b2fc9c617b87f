"""A transaction ends as its register says, wherever that is."""

from typing import Any

import pytest

from coordination import distributed_transaction
from coordination.exceptions import TransactionAborted
from coordination.transactions import operations, orphans, runner, sweeper, worker
from coordination.transactions.branches import xa
from coordination.transactions.coordinator import store
from coordination.transactions.dispatch import TASKS
from coordination.transactions.participants import lookup
from coordination.transactions.tables import Branch, Transaction
from coordination.transactions.types import Outcome, Phase, Work
from tests.databases import ALIASES
from tests.integration import broker, ledger

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

DUE = "UPDATE concord_transaction SET next_at = now() - interval '1 second' WHERE ended_at IS NULL"
EXPIRED = "UPDATE concord_transaction SET deadline_at = now() - interval '1 second'"


WORK = {
    TASKS[Phase.PREPARE]: worker.prepare,
    TASKS[Phase.PRECOMMIT]: worker.precommit_branches,
    TASKS[Phase.FINISH]: worker.finish,
}


def amounts() -> tuple[int, int]:
    return ledger.amount("bank_a"), ledger.amount("bank_b")


def row(gid: str) -> Transaction:
    return Transaction.objects.get(gid=gid)


def sweep_and_work() -> None:
    """What the sweeper asks for, and what workers make of it."""
    for _ in range(3):
        ledger.execute("default", DUE)
        ledger.execute("default", "UPDATE concord_branch SET next_at = NULL")
        sweeper.sweep_once()
        for queue in ("bank.prepare", "bank.finish", "bank.finish"):
            waiting = broker.messages(queue)
            with broker.queues() as client:
                client.delete(queue)
            for message in waiting:
                WORK[message.task](**message.kwargs)


def by_workers(place: dict[str, Any]) -> str:
    """A transaction whose branches are asked for by message; none was yet."""
    tx = distributed_transaction("moved", wait=False, deadline=60, **place)
    tx.enlist("bank.b.deposit", account=1, cents=1)
    tx.enlist("test.a.add", cents=1)
    tx.submit()
    return tx.gid


def test_what_every_branch_agrees_to_is_committed(place: dict[str, Any]) -> None:
    with distributed_transaction("move", **place) as tx:
        tx.enlist("test.a.add", cents=-10)
        tx.enlist("test.b.hold", cents=10)
        tx.enlist("test.a.read")

    assert amounts() == (90, 90)
    assert (row(tx.gid).outcome, row(tx.gid).ended_at is not None) == ("committed", True)
    assert ledger.prepared("bank_a") == ledger.prepared("bank_b") == []


def test_a_no_undoes_the_others(place: dict[str, Any]) -> None:
    with pytest.raises(TransactionAborted, match="insufficient funds"):
        with distributed_transaction("move", **place) as tx:
            tx.enlist("test.a.add", cents=500)
            tx.enlist("test.b.add", cents=-500)

    assert amounts() == (100, 100)
    assert (row(tx.gid).outcome, row(tx.gid).ended_at is not None) == ("aborted", True)
    assert ledger.prepared("bank_a") == ledger.prepared("bank_b") == []


def test_what_only_reads_and_stands_alone_is_committed(place: dict[str, Any]) -> None:
    with distributed_transaction("look", **place) as tx:
        tx.enlist("test.a.read")

    assert row(tx.gid).outcome == "committed"


def test_a_caller_that_dies_after_it_voted_has_voted(place: dict[str, Any]) -> None:
    """Its vote is prepared; where votes have registers it may be there as well."""
    tx = distributed_transaction("lost", wait=False, deadline=60, **place)
    tx.enlist("bank.b.deposit", account=1, cents=1)
    tx.enlist("test.a.add", cents=1)
    tx.submit()
    Branch.objects.filter(transaction=tx.gid).update(vote=None)
    Transaction.objects.filter(gid=tx.gid).update(pending=2)
    sweep_and_work()

    assert Branch.objects.get(transaction=tx.gid, seq=2).actual is not None
    assert row(tx.gid).ended_at is not None


def test_after_the_deadline_votes_that_are_missing_are_given_up(place: dict[str, Any]) -> None:
    gid = by_workers(place)
    ledger.execute("default", EXPIRED)
    sweep_and_work()

    assert row(gid).outcome == "aborted"
    assert "voted" in row(gid).reason
    assert ledger.amount("bank_a") == 100
    assert ledger.prepared("bank_a") == []


def test_a_cancel_and_an_operator_ask_the_register_as_well(place: dict[str, Any]) -> None:
    gid = by_workers(place)
    resolution = operations.resolve(
        gid, outcome="aborted", actor="ada", reason="nobody needs it any more"
    )

    assert (resolution.outcome, resolution.changed) == (Outcome.ABORTED, True)
    again = runner.decide(gid, Outcome.COMMITTED, reason="late")
    assert again is not None
    assert again.outcome is Outcome.ABORTED


def test_an_outcome_that_the_row_has_lost_is_found_in_its_register(place: dict[str, Any]) -> None:
    """A power cut of the coordinator takes back what was not waited for."""
    if "register" not in place and place["protocol"] != "paxos":
        pytest.skip("the row is the register")
    with distributed_transaction("move", **place) as tx:
        tx.enlist("test.a.add", cents=-10)
        tx.enlist("test.b.add", cents=10)
    ledger.execute("default", "ALTER TABLE concord_transaction DISABLE TRIGGER USER")
    try:
        Transaction.objects.filter(gid=tx.gid).update(
            outcome=None, decided_at=None, ended_at=None, pending=2, unfinished=2
        )
        Branch.objects.filter(transaction=tx.gid).update(vote=None, actual=None)
    finally:
        ledger.execute("default", "ALTER TABLE concord_transaction ENABLE TRIGGER USER")

    standing = runner.decide(tx.gid, Outcome.ABORTED, reason="it seems to be late")
    assert standing is not None
    assert standing.outcome is Outcome.COMMITTED
    sweep_and_work()
    assert (row(tx.gid).outcome, row(tx.gid).heuristic) == ("committed", "")
    assert amounts() == (90, 110)


def test_a_vote_that_comes_after_its_register_was_closed_is_a_no(place: dict[str, Any]) -> None:
    gid = by_workers(place)
    runner.decide(gid, Outcome.ABORTED, reason="given up")
    electorate = store().snapshots([gid])[0].electorate
    work = Work(
        gid=gid,
        seq=1,
        participant="test.b.add",
        using="bank_b",
        mode=lookup("test.b.add").mode,
        form=store().snapshots([gid])[0].branches[0].form,
        args={"cents": 1},
        remaining_ms=10_000,
        electorate=electorate,
    )
    ballot = xa.prepare(work, lookup("test.b.add"))
    standing = runner.cast(gid, ballot, electorate=electorate)

    assert standing is not None
    assert standing.outcome is Outcome.ABORTED
    sweep_and_work()
    orphans.sweep(min_age_s=0)
    assert (ledger.prepared("bank_b"), ledger.amount("bank_b")) == ([], 100)
