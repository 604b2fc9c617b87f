"""The mailbox: decisions arrive quickly, late messages are made up for by reading the row."""

import asyncio
import json
import os
import threading
import time
from collections.abc import Iterator

import pytest
from pytest_django import Settings

from coordination.connections.redis import RedisStore
from coordination.transactions import mailbox as mailboxes
from coordination.transactions.mailbox import Decision, Mailbox, process_mailbox
from coordination.transactions.types import Outcome
from tests.integration.forked_child import fork, succeeded
from tests.integration.own_redis import OwnRedis, own_redis

__all__ = ["own_redis"]

GID = "bank-00000000-0000000000000000"
COMMITTED = Decision(outcome=Outcome.COMMITTED)
LONG_POLL_MS = 30_000


class Row:
    """The transaction's row, as a poll reads it."""

    def __init__(self, decision: Decision | None = None) -> None:
        self.decision = decision
        self.reads = 0
        self.was_read = asyncio.Event()

    def read(self) -> Decision | None:
        self.reads += 1
        return self.decision

    async def aread(self) -> Decision | None:
        self.was_read.set()
        return self.read()


@pytest.fixture
def store(own_redis: OwnRedis) -> Iterator[RedisStore]:
    store = RedisStore("redis", own_redis.url, options={"deadline_ms": 300})
    yield store
    store.close()


@pytest.fixture
def decider(store: RedisStore) -> Mailbox:
    """The mailbox of another process, which decides."""
    return Mailbox(store, node="shop")


def _soon(seconds: float = 10) -> float:
    return time.monotonic() + seconds


def test_a_decision_reaches_a_waiter_in_another_process_without_reading_the_row(
    store: RedisStore, decider: Mailbox
) -> None:
    waiter, row = Mailbox(store, node="bank", poll_ms=LONG_POLL_MS), Row()

    with waiter.expect(GID) as expectation:
        decider.deliver(waiter.address, GID, Outcome.ABORTED, "insufficient funds")
        found = expectation.wait(until=_soon(), poll=row.read)

    assert found == Decision(outcome=Outcome.ABORTED, reason="insufficient funds")
    assert row.reads == 0


def test_a_decision_made_before_anyone_waited_is_read_from_the_row(store: RedisStore) -> None:
    waiter = Mailbox(store, node="bank", poll_ms=LONG_POLL_MS)

    assert waiter.wait(GID, until=_soon(), poll=Row(COMMITTED).read) == COMMITTED


def test_a_decision_made_in_the_same_process_needs_no_redis() -> None:
    waiter = Mailbox(RedisStore("redis", "redis://127.0.0.1:1/0"), node="bank")

    with waiter.expect(GID) as expectation:
        waiter.deliver(waiter.address, GID, Outcome.COMMITTED)
        found = expectation.wait(until=_soon(), poll=Row().read)

    assert found == COMMITTED


def test_a_lost_message_costs_one_poll(store: RedisStore) -> None:
    waiter, row = Mailbox(store, node="bank", poll_ms=200), Row()
    threading.Timer(0.1, lambda: setattr(row, "decision", COMMITTED)).start()
    started = time.monotonic()

    assert waiter.wait(GID, until=_soon(), poll=row.read) == COMMITTED
    assert time.monotonic() - started < 1


def test_without_a_decision_waiting_ends_on_time_after_a_last_look(store: RedisStore) -> None:
    waiter, row = Mailbox(store, node="bank", poll_ms=LONG_POLL_MS), Row()
    started = time.monotonic()

    assert waiter.wait(GID, until=_soon(0.3), poll=row.read) is None
    assert 0.25 < time.monotonic() - started < 0.8
    assert row.reads == 2


def test_without_a_store_waiters_read_the_row() -> None:
    waiter, row = Mailbox(None, node="bank"), Row()
    threading.Timer(0.1, lambda: setattr(row, "decision", COMMITTED)).start()

    assert waiter.address == ""
    assert waiter.wait(GID, until=_soon(), poll=row.read) == COMMITTED


def test_every_waiter_of_a_transaction_hears_and_no_other(
    store: RedisStore, decider: Mailbox
) -> None:
    waiter = Mailbox(store, node="bank", poll_ms=LONG_POLL_MS)
    heard: list[Decision | None] = []
    ready = threading.Barrier(4)

    def work() -> None:
        with waiter.expect(GID) as expectation:
            ready.wait()
            heard.append(expectation.wait(until=_soon(), poll=Row().read))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    with waiter.expect("bank-00000000-1111111111111111") as other:
        ready.wait()
        decider.deliver(waiter.address, GID, Outcome.COMMITTED)
        for thread in threads:
            thread.join()

        assert other.wait(until=_soon(0.05), poll=Row().read) is None
    assert heard == [COMMITTED] * 3


def test_a_dead_redis_neither_stops_the_waiter_nor_holds_the_decider(
    store: RedisStore, decider: Mailbox, own_redis: OwnRedis, caplog: pytest.LogCaptureFixture
) -> None:
    waiter, row = Mailbox(store, node="bank", poll_ms=200), Row()
    own_redis.freeze()
    started = time.monotonic()
    decider.deliver(waiter.address, GID, Outcome.COMMITTED)
    first_s = time.monotonic() - started
    started = time.monotonic()
    for _ in range(100):
        decider.deliver(waiter.address, GID, Outcome.COMMITTED)
    rest_s = time.monotonic() - started
    row.decision = COMMITTED

    assert waiter.wait(GID, until=_soon(), poll=row.read) == COMMITTED
    assert first_s < 0.4
    assert rest_s < 0.1
    assert "waiters read the rows" in caplog.text


def test_the_mailbox_hears_again_when_redis_is_back(
    store: RedisStore, decider: Mailbox, own_redis: OwnRedis
) -> None:
    waiter = Mailbox(store, node="bank", poll_ms=LONG_POLL_MS)
    own_redis.kill()
    with waiter.expect(GID) as expectation:
        assert expectation.wait(until=_soon(0.2), poll=Row().read) is None
        own_redis.start()
        decider.deliver(waiter.address, GID, Outcome.COMMITTED)

        assert expectation.wait(until=_soon(), poll=Row().read) == COMMITTED


def test_messages_that_make_no_sense_do_not_deafen(store: RedisStore, decider: Mailbox) -> None:
    waiter = Mailbox(store, node="bank", poll_ms=LONG_POLL_MS)
    nonsense = ["", "{", "[]", json.dumps({"gid": GID, "outcome": "maybe", "reason": ""})]
    store.call("RPUSH", waiter.address, *nonsense)

    with waiter.expect(GID) as expectation:
        decider.deliver(waiter.address, GID, Outcome.COMMITTED)

        assert expectation.wait(until=_soon(), poll=Row().read) == COMMITTED


def test_undelivered_messages_expire(store: RedisStore, decider: Mailbox) -> None:
    decider.deliver("concord:{bank}:mailbox:gone", GID, Outcome.COMMITTED)

    assert 0 < store.call("PTTL", "concord:{bank}:mailbox:gone") <= mailboxes.MESSAGE_TTL_MS


def test_a_forked_child_has_a_mailbox_of_its_own_that_works(
    store: RedisStore, decider: Mailbox
) -> None:
    waiter = Mailbox(store, node="bank", poll_ms=LONG_POLL_MS)
    before = waiter.address
    receive, send = os.pipe()

    def child() -> bool:
        with waiter.expect(GID) as expectation:
            os.write(send, waiter.address.encode())
            return expectation.wait(until=_soon(), poll=Row().read) == COMMITTED

    with waiter.expect(GID) as expectation:
        pid = fork(child)
        childs = os.read(receive, 200).decode()
        decider.deliver(childs, GID, Outcome.COMMITTED)

        assert succeeded(pid)
        assert waiter.address == before != childs
        decider.deliver(before, GID, Outcome.ABORTED)
        found = expectation.wait(until=_soon(), poll=Row().read)
    os.close(receive)
    os.close(send)
    assert found == Decision(outcome=Outcome.ABORTED)


def test_the_thread_ends_when_nobody_waits_and_begins_again(
    store: RedisStore, decider: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailboxes, "BLOCK_MS", 50)
    waiter = Mailbox(store, node="bank", poll_ms=LONG_POLL_MS)
    with waiter.expect(GID):
        reader = waiter._reader
    assert reader is not None
    reader.join(timeout=10)
    assert not reader.is_alive()

    with waiter.expect(GID) as expectation:
        decider.deliver(waiter.address, GID, Outcome.COMMITTED)

        assert expectation.wait(until=_soon(), poll=Row().read) == COMMITTED


def test_one_thread_serves_all_waiters(store: RedisStore, decider: Mailbox) -> None:
    waiter = Mailbox(store, node="bank", poll_ms=LONG_POLL_MS)
    gids = [f"bank-00000000-{n:016x}" for n in range(50)]
    results: dict[str, Decision | None] = {}
    ready = threading.Barrier(51)

    def work(gid: str) -> None:
        with waiter.expect(gid) as expectation:
            ready.wait()
            results[gid] = expectation.wait(until=_soon(), poll=Row().read)

    before = set(threading.enumerate())
    threads = [threading.Thread(target=work, args=(gid,)) for gid in gids]
    for thread in threads:
        thread.start()
    ready.wait()
    assert len(set(threading.enumerate()) - before) == 51
    for gid in reversed(gids):
        decider.deliver(waiter.address, gid, Outcome.COMMITTED, gid)
    for thread in threads:
        thread.join()

    assert results == {gid: Decision(outcome=Outcome.COMMITTED, reason=gid) for gid in gids}


async def test_an_asyncio_waiter_hears_without_blocking_the_loop(
    store: RedisStore, decider: Mailbox
) -> None:
    waiter = Mailbox(store, node="bank", poll_ms=LONG_POLL_MS)
    row = Row()
    waiting = asyncio.ensure_future(waiter.await_decision(GID, until=_soon(), poll=row.aread))
    await row.was_read.wait()
    assert not waiting.done()

    await asyncio.to_thread(decider.deliver, waiter.address, GID, Outcome.COMMITTED)

    assert await waiting == COMMITTED
    assert row.reads == 1


async def test_an_asyncio_waiter_reads_the_row_and_ends_on_time(store: RedisStore) -> None:
    waiter = Mailbox(store, node="bank", poll_ms=100)
    row = Row()

    nothing = await waiter.await_decision(GID, until=_soon(0.25), poll=row.aread)
    row.decision = COMMITTED
    found = await waiter.await_decision(GID, until=_soon(), poll=row.aread)

    assert (nothing, found) == (None, COMMITTED)


async def test_a_cancelled_asyncio_waiter_leaves_nothing_behind(store: RedisStore) -> None:
    waiter = Mailbox(store, node="bank", poll_ms=LONG_POLL_MS)
    row = Row()
    waiting = asyncio.ensure_future(waiter.await_decision(GID, until=_soon(), poll=row.aread))
    await row.was_read.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert waiter._waiters == {}


def test_the_process_mailbox_follows_the_settings(settings: Settings) -> None:
    assert process_mailbox() is process_mailbox()
    before = process_mailbox()
    assert before.address.startswith("concord:{bank}:mailbox:")

    settings.COORDINATION = {"NODE": "other"}

    assert process_mailbox().address == ""
