"""Rows and work at the same time: begun while branches are entered, acknowledged while gone on."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from coordination import distributed_transaction, participant
from coordination.connections import database
from coordination.connections.database import Statement
from coordination.exceptions import StoreUnavailable
from coordination.transactions import worker
from coordination.transactions.context import Context
from coordination.transactions.coordinator import store
from coordination.transactions.tables import Branch, Transaction, Witness
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import broker, ledger

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

ran: list[str] = []


@participant("test.begin.cuts", using="bank_a")
def cuts_the_coordinator_off(ctx: Context) -> None:
    """While its transaction is being begun, the coordinator's connection of this thread dies."""
    ledger.execute("bank_a", "UPDATE ledger SET amount = amount + 1")
    ran.append("cuts")
    if len(ran) == 1:
        terminate("default")


@participant("bank.begin.no", using="bank_a")
def refuses(ctx: Context) -> None:
    ran.append("no")
    ctx.vote_no("not today")


@participant("bank.begin.a", using="bank_a")
def first(ctx: Context) -> None:
    ran.append("a")
    ledger.execute("bank_a", "UPDATE ledger SET amount = amount + 1")


@participant("bank.begin.b", using="bank_b")
def second(ctx: Context) -> None:
    ran.append("b")
    ledger.execute("bank_b", "UPDATE ledger SET amount = amount + 1")


@participant("test.begin.home", using="default")
def at_home(ctx: Context, row: int) -> None:
    ledger.execute("default", "INSERT INTO ledger VALUES (%s, 0)", row)


@pytest.fixture(autouse=True)
def _ledgers(transactional_db: None) -> Iterator[None]:
    broker.clear()
    ran.clear()
    with ledger.ledgers():
        yield


def terminate(using: str) -> None:
    """End the server's process behind this thread's connection."""
    pid = connections[using].connection.info.backend_pid
    other = "bank_a" if using == "bank_b" else "bank_b"
    database.run(other, Statement("SELECT pg_terminate_backend(%s, 5000)", (pid,)))


def amounts() -> tuple[int, int]:
    return ledger.amount("bank_a"), ledger.amount("bank_b")


def outcome(gid: str) -> str | None:
    return Transaction.objects.get(gid=gid).outcome


# In one process


def test_a_transaction_that_cannot_begin_leaves_nothing_and_may_be_submitted_again() -> None:
    connection = connections["default"]
    connection.close()
    port = connection.settings_dict["PORT"]
    tx = distributed_transaction("twice")
    tx.enlist("test.a.add", cents=-1)
    tx.enlist("test.b.add", cents=1)
    connection.settings_dict["PORT"] = 1
    try:
        with pytest.raises(StoreUnavailable):
            tx.submit()
    finally:
        connection.settings_dict["PORT"] = port

    assert (amounts(), Witness.objects.using("bank_a").count()) == ((100, 100), 0)
    assert outcome(tx.submit()) == "committed"


def test_rows_whose_reply_is_lost_while_a_body_runs_are_asked_for_again() -> None:
    with distributed_transaction("cut") as tx:
        tx.enlist("test.begin.cuts")
        tx.enlist("test.b.add", cents=1)

    assert (outcome(tx.gid), amounts(), ran) == ("committed", (101, 101), ["cuts"])


def test_a_last_agent_whose_connection_dies_while_another_body_runs_is_tried_again() -> None:
    with distributed_transaction("cut") as tx:
        tx.enlist("test.begin.cuts")
        tx.enlist("test.home.add", cents=5)

    assert (outcome(tx.gid), ledger.amount("default")) == ("committed", 105)
    assert ledger.amount("bank_a") == 101


def test_rows_are_no_part_of_a_branch_on_the_coordinators_connection() -> None:
    with distributed_transaction("two-at-home") as tx:
        for row in (2, 3):  # the first is prepared, the second is the last agent
            tx.enlist("test.begin.home", row=row)
        tx.enlist("test.a.add", cents=-3)

    rows = ledger.execute("default", "SELECT id FROM ledger ORDER BY id")
    assert (outcome(tx.gid), rows) == ("committed", [(1,), (2,), (3,)])
    assert ledger.prepared("default") == []


@pytest.mark.parametrize(
    ("here", "dead"),
    [
        *(("test.b.add", using) for using in ALIASES),
        *(("test.home.add", using) for using in ("default", "bank_a")),
    ],
)
def test_a_dead_connection_does_not_fail_a_transaction(here: str, dead: str) -> None:
    for using in ALIASES:
        connections[using].ensure_connection()
    terminate(dead)
    with distributed_transaction("after-a-restart") as tx:
        tx.enlist("test.a.add", cents=-1)
        tx.enlist(here, cents=1)

    assert outcome(tx.gid) == "committed"
    assert ledger.amount("bank_a") == 99


def test_a_body_that_reads_the_coordinators_database_waits_for_the_rows() -> None:
    seen: list[Any] = []

    @participant("test.begin.looks", using="bank_a")
    def looks(ctx: Context) -> None:
        seen.append(Transaction.objects.filter(gid=ctx.gid).exists())
        ledger.execute("bank_a", "UPDATE ledger SET amount = amount + 1")

    with distributed_transaction("looks") as tx:
        tx.enlist("test.begin.looks")
        tx.enlist("test.b.add", cents=1)

    assert seen == [True]


# By message


def begin(*participants: str) -> str:
    tx = distributed_transaction("by-message", wait=False)
    for name in participants:
        tx.enlist(name)
    return tx.submit()


def deliver() -> list[str]:
    return [worker.prepare(**message.kwargs) for message in broker.messages("bank.prepare")]


def test_branches_of_one_node_are_asked_for_by_one_message_and_vote_together() -> None:
    gid = begin("bank.begin.a", "bank.begin.b")
    (message,) = broker.messages("bank.prepare")

    assert message.kwargs == {"gid": gid, "seqs": [1, 2]}
    assert deliver() == ["done"]
    assert (outcome(gid), amounts(), ran) == ("committed", (101, 101), ["a", "b"])
    assert broker.messages("bank.finish") == []


def test_after_a_no_the_bodies_behind_it_are_not_run() -> None:
    gid = begin("bank.begin.no", "bank.begin.b")
    deliver()

    reasons = dict(Branch.objects.filter(transaction=gid).values_list("seq", "reason"))
    assert (outcome(gid), ran, amounts()) == ("aborted", ["no"], (100, 100))
    assert "branch 1 had voted no" in reasons[2]
    assert Transaction.objects.get(gid=gid).ended_at is not None


def test_a_message_delivered_twice_runs_no_body_twice() -> None:
    gid = begin("bank.begin.a", "bank.begin.b")

    assert deliver() + deliver() == ["done", "done"]
    assert (outcome(gid), amounts(), ran) == ("committed", (101, 101), ["a", "b"])


def test_branches_can_have_messages_of_their_own(settings: Any) -> None:
    transactions = settings.COORDINATION["TRANSACTIONS"] | {"BRANCHES_PER_MESSAGE": 1}
    settings.COORDINATION = settings.COORDINATION | {"TRANSACTIONS": transactions}
    gid = begin("bank.begin.a", "bank.begin.b")

    asked = [message.kwargs["seqs"] for message in broker.messages("bank.prepare")]
    assert asked == [[1], [2]]
    deliver()
    assert (outcome(gid), amounts()) == ("committed", (101, 101))


def test_a_message_that_overtakes_its_rows_waits_for_them() -> None:
    gid = begin("bank.begin.a", "bank.begin.b")
    (message,) = broker.messages("bank.prepare")
    answers: list[str] = []

    def work() -> None:
        try:
            answers.append(worker.prepare(**message.kwargs))
        finally:
            connections.close_all()

    with connections["default"].cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("UPDATE concord_transaction SET gid = gid || '-later'")
        cursor.execute("UPDATE concord_branch SET transaction_id = transaction_id || '-later'")
        cursor.execute("COMMIT")
        thread = threading.Thread(target=work)
        thread.start()
        cursor.execute("BEGIN")
        cursor.execute("UPDATE concord_transaction SET gid = %s", [gid])
        cursor.execute("UPDATE concord_branch SET transaction_id = %s", [gid])
        cursor.execute("COMMIT")
    thread.join(10)

    assert (answers, outcome(gid)) == (["done"], "committed")


def test_a_message_whose_rows_never_come_does_nothing() -> None:
    gid = distributed_transaction("never").gid

    assert worker.prepare(gid, [1, 2]) == "unknown"
    assert ran == []


def test_nobody_is_asked_when_there_is_no_connection_for_the_rows() -> None:
    connection = connections["default"]
    connection.close()
    port = connection.settings_dict["PORT"]
    connection.settings_dict["PORT"] = 1
    try:
        with pytest.raises(StoreUnavailable):
            begin("bank.begin.a", "bank.begin.b")
    finally:
        connection.settings_dict["PORT"] = port

    assert broker.messages("bank.prepare") == []


@pytest.mark.parametrize("seqs", [[], [0], ["1"], [True], [1, 70_000]])
def test_a_message_for_no_branch_is_refused(seqs: Any) -> None:
    gid = begin("bank.begin.a", "bank.begin.b")

    with pytest.raises(Exception, match="no branches"):
        worker.prepare(gid, seqs)
    assert ran == []


def test_an_acknowledgement_that_is_lost_is_given_by_whoever_finishes_again() -> None:
    gid = begin("bank.begin.a", "bank.begin.b")
    deliver()
    ledger.execute("default", "UPDATE concord_branch SET actual = NULL, finished_at = NULL")
    ledger.execute("default", "UPDATE concord_transaction SET unfinished = 2, ended_at = NULL")

    assert worker.finish(gid, [1, 2]) == "done"
    standing = store().standing(gid)
    assert standing is not None
    assert (standing.ended, amounts()) == (True, (101, 101))
