"""Transactions from asynchronous code: the same promises, and the loop is never held up."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from django.db import connections

from coordination import distributed_transaction, participant
from coordination.exceptions import InvalidArgument, OutcomeUnknown, TransactionAborted
from coordination.transactions import threads, worker
from coordination.transactions.tables import Transaction
from tests.contract.threads import disconnected
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import broker, ledger

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

go = threading.Event()


@participant("test.async.waits", using="bank_a")
def waits(ctx: object) -> None:
    assert go.wait(10)
    ledger.execute("bank_a", "UPDATE ledger SET amount = amount + 1 WHERE id = 1")


@participant("test.async.row", using="bank_a")
def insert(ctx: object, number: int) -> None:
    ledger.execute("bank_a", "INSERT INTO ledger VALUES (%s, 0)", number)


@participant("test.async.other-row", using="bank_b")
def insert_other(ctx: object, number: int) -> None:
    ledger.execute("bank_b", "INSERT INTO ledger VALUES (%s, 0)", number)


@pytest.fixture(autouse=True)
def _ledgers(transactional_db: None) -> Iterator[None]:
    broker.clear()
    go.clear()
    with ledger.ledgers():
        yield
        disconnect_threads()


def disconnect_threads() -> None:
    """Close what the threads behind the async twins have open, one task a thread."""
    pool = threads._threads()
    together = threading.Barrier(pool._max_workers)

    def close() -> None:
        together.wait(10)
        connections.close_all()

    closing = [pool.submit(close) for _ in range(pool._max_workers)]
    for each in closing:
        each.result(10)


async def rows() -> list[Transaction]:
    return await threads.in_thread(lambda: list(Transaction.objects.all()))


async def test_leaving_the_block_waits_for_the_decision() -> None:
    async with distributed_transaction("move") as tx:
        tx.enlist("test.a.add", cents=-10)
        tx.enlist("test.b.add", cents=10)

    assert await tx.aresult("applied", wait=0) == "committed"
    assert [row.outcome for row in await rows()] == ["committed"]


async def test_an_abort_is_raised_with_its_reason() -> None:
    with pytest.raises(TransactionAborted, match="insufficient funds"):
        async with distributed_transaction("move") as tx:
            tx.enlist("test.a.add", cents=-500)
            tx.enlist("test.b.add", cents=500)

    assert await tx.aresult(wait=0) == "aborted"


async def test_an_exception_in_the_block_sends_nothing() -> None:
    with pytest.raises(KeyError):
        async with distributed_transaction("move") as tx:
            tx.enlist("test.a.add", cents=1)
            raise KeyError

    with pytest.raises(InvalidArgument, match="closed"):
        await tx.asubmit()
    assert await rows() == []


async def test_the_loop_runs_on_while_a_body_works() -> None:
    tx = distributed_transaction("slow")
    tx.enlist("test.async.waits")
    submitted = asyncio.create_task(tx.asubmit())
    await asyncio.sleep(0)  # the body can end only because the loop goes on to the next line
    go.set()

    assert await submitted == tx.gid
    assert await tx.aresult() == "committed"


async def test_many_at_once_are_kept_apart() -> None:
    async def one(number: int) -> str:
        async with distributed_transaction("many") as tx:
            tx.enlist("test.async.row", number=number)
            tx.enlist("test.async.other-row", number=number)
        return await tx.aresult("applied")

    outcomes = await asyncio.gather(*(one(number) for number in range(10, 50)))

    assert outcomes == ["committed"] * 40
    stored = await rows()
    assert {row.ended_at is not None for row in stored} == {True}
    assert len(stored) == 40


async def test_a_decision_made_by_a_worker_is_heard() -> None:
    tx = distributed_transaction("routed")
    tx.enlist("bank.a.deposit", account=2, cents=1)
    await tx.asubmit()
    heard = asyncio.create_task(tx.aresult(wait=10))

    def work() -> None:
        for message in broker.messages("bank.prepare"):
            worker.prepare(**message.kwargs)

    await asyncio.to_thread(disconnected, work)

    assert await heard == "aborted"  # there is no such account


async def test_a_wait_that_ends_says_that_the_outcome_is_unknown() -> None:
    tx = distributed_transaction("routed")
    tx.enlist("bank.a.deposit", account=2, cents=1)
    await tx.asubmit()

    with pytest.raises(OutcomeUnknown, match=tx.gid):
        await tx.aresult(wait=0.05)
