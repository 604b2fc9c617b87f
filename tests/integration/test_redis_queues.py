"""Queues in Redis when replies are lost, the server is frozen, restarted or flushed."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from pytest_django import Settings

from coordination import queue
from coordination.exceptions import (
    CoordinationError,
    OutcomeUnknown,
    StaleReceipt,
    StoreUnavailable,
)
from coordination.queues.api import Queue
from coordination.queues.declared import declared
from coordination.queues.delivery import Delivery
from tests.contract.queues.taking import balanced, drained, one, until
from tests.integration.losing_proxy import LosingProxy
from tests.integration.own_redis import OwnRedis, own_redis

__all__ = ["own_redis"]

DEADLINE_S = 0.3


@pytest.fixture
def own(own_redis: OwnRedis, settings: Settings) -> OwnRedis:
    """A Redis of this test's own as the store of queues."""
    settings.COORDINATION = {
        "NODE": "test",
        "STORES": {
            "redis": {
                "BACKEND": "redis",
                "LOCATION": own_redis.url,
                "OPTIONS": {"DEADLINE": DEADLINE_S},
            }
        },
    }
    return own_redis


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@contextmanager
def within_the_deadline() -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < DEADLINE_S + 0.5


def events(own: OwnRedis) -> list[tuple[str, str, int, Any]]:
    """What, name, version and data of every event, in the order of its shard."""
    found = []
    with own.client() as client:
        for number in range(16):
            for _, fields in client.xrange(f"concord:{{queue-{number}}}:events"):
                what, name, _at, _node, _op, version, data = fields["e"].split("\n", 6)
                found.append((what, name, int(version), json.loads(data)))
    return found


@pytest.fixture
def losing(own: OwnRedis, settings: Settings) -> Iterator[LosingProxy]:
    """A proxy that the store is behind, whose scripts and queue "a" are known already."""
    with LosingProxy(own.port) as proxy:
        store = settings.COORDINATION["STORES"]["redis"]
        settings.COORDINATION = settings.COORDINATION | {
            "STORES": {"redis": store | {"LOCATION": proxy.url}}
        }
        q = queue("a")
        q.publish("warm")
        warm = one(q)
        warm.extend()
        warm.ack()
        yield proxy


def test_a_publication_whose_reply_was_lost_is_made_once(losing: LosingProxy) -> None:
    q = queue("a")
    losing.lose()
    ids = q.publish_many(range(3))
    losing.lose()
    q.publish(3, group="g", dedup_id="d")
    found = drained(q)
    assert [each.id for each in found][:3] == ids
    assert [each.body for each in found] == [0, 1, 2, 3]
    assert losing.lost == 2
    balanced(q)


def test_messages_whose_reply_was_lost_are_taken_by_the_same_call(losing: LosingProxy) -> None:
    q = queue("a")
    q.publish_many(range(3))
    losing.lose()
    taken = q.reserve(batch=2)
    assert [(each.body, each.attempts) for each in taken] == [(0, 1), (1, 1)]
    q.ack(taken)
    assert [each.body for each in drained(q)] == [2]
    assert losing.lost == 1
    balanced(q)


@pytest.mark.parametrize("verb", ["ack", "nack", "reject", "extend"])
def test_a_settlement_whose_reply_was_lost_is_made_once_and_not_stale(
    losing: LosingProxy, verb: str
) -> None:
    q = queue("a")
    q.publish("x")
    message = one(q)
    losing.lose()
    getattr(message, verb)()
    assert losing.lost == 1
    if verb != "extend":
        with pytest.raises(StaleReceipt):
            message.ack()
    balanced(q)


def test_a_purge_and_a_redrive_whose_replies_were_lost_are_made_once(losing: LosingProxy) -> None:
    q = queue("a")
    q.publish_many(range(5))
    for message in q.reserve(batch=3):
        message.reject()
    losing.lose()
    assert q.redrive() == 3
    losing.lose()
    assert q.purge() == 5
    balanced(q)
    balanced(queue("a.dlq"))


@pytest.mark.parametrize("verb", ["publish", "reserve", "ack", "nack", "extend", "stats", "peek"])
def test_a_frozen_server_is_an_error_within_the_deadline(own: OwnRedis, verb: str) -> None:
    q = queue("a")
    q.publish("x")
    message = one(q)
    calls: dict[str, Any] = {
        "publish": lambda: q.publish("y"),
        "reserve": q.reserve,
        "ack": message.ack,
        "nack": message.nack,
        "extend": message.extend,
        "stats": q.stats,
        "peek": q.peek,
    }
    own.freeze()
    try:
        with within_the_deadline(), pytest.raises((OutcomeUnknown, StoreUnavailable)):
            calls[verb]()
    finally:
        own.thaw()
    balanced(q)


def test_a_server_that_is_gone_is_an_error_and_nothing_was_published(own: OwnRedis) -> None:
    q = queue("a")
    q.publish("x")
    own.kill()
    with within_the_deadline(), pytest.raises(StoreUnavailable) as told:
        q.publish("y")
    assert told.value.applied is False
    own.start()
    q.publish("z")
    assert [each.body for each in drained(q)] == ["z"]


def test_a_queue_that_redis_forgot_is_declared_anew(own: OwnRedis) -> None:
    q = queue("a", max_attempts=7)
    q.publish("x")
    with own.client() as client:
        client.flushall()
        client.script_flush()
    assert q.reserve() == []
    q.publish("y")
    assert queue("a").declared.max_attempts == 7
    assert [each.body for each in drained(q)] == ["y"]
    balanced(q)


def test_names_that_hold_what_json_and_lua_care_for_are_names_like_others(own: OwnRedis) -> None:
    for name in ('a"b', "a'b", "a:b", "ü%s", "a\u00e9"):
        q = queue(name, max_attempts=1)
        q.publish(name, group=name, dedup_id=name)
        one(q).reject(error='"quoted"\nand on two lines')
        letter = one(queue(f"{name}.dlq"))
        assert (letter.source, letter.error) == (name, '"quoted"\nand on two lines')
        assert q.redrive(reason=name) == 0
        letter.ack()
    assert len({name for _, name, _, _ in events(own)}) == 10


def test_every_change_leaves_an_event_and_versions_have_no_gap(own: OwnRedis) -> None:
    q = queue("a", max_attempts=2)
    ids = q.publish_many(range(4))
    taken = q.reserve(batch=4)
    taken[0].ack()
    taken[1].nack(delay=0)
    taken[2].reject()
    taken[3].extend(5)
    with pytest.raises(StaleReceipt):
        taken[0].ack()
    q.redrive(actor="ann", reason="again")
    q.pause()
    q.resume()
    q.purge(actor="ann")
    mine = [(what, data) for what, name, _, data in events(own) if name == "a"]
    versions = [version for _, name, version, _ in events(own) if name == "a"]
    assert versions == list(range(1, len(versions) + 1))
    assert mine[1] == ("message.published", {"ids": ids})
    assert mine[2][1]["ids"] == ids
    assert mine[2][1]["attempts"] == [1, 1, 1, 1]
    told = {what: data.get("ids") for what, data in mine}
    assert told["message.acked"] == [ids[0]]
    assert told["message.retried"] == [ids[1]]
    assert told["message.died"] == [ids[2]]
    assert told["message.refused"] == [ids[0]]
    assert told["message.redriven"] == [ids[2]]
    assert sorted(told["message.purged"]) == sorted([ids[1], ids[2]])
    assert told["message.extended"] == [ids[3]]
    balanced(q)


def test_many_messages_leave_nothing_behind_but_events_and_what_the_queue_is(
    own: OwnRedis,
) -> None:
    q = queue("a")
    for n in range(20):
        q.publish(n, group=f"g{n % 3}", delay=0.001 * (n % 2), priority=n % 3)
    done = 0
    while done < 20:
        taken = q.reserve(batch=5, wait=2)
        q.ack(taken)
        done += len(taken)
    with own.client() as client:
        kinds = Counter(key.split("}:")[1].split(":")[0] for key in client.scan_iter("concord:*"))
        lasting = [key for key in client.scan_iter("concord:*answer*") if client.ttl(key) < 0]
    assert set(kinds) == {"config", "events", "names", "answer"}
    assert lasting == []
    balanced(q)


def test_a_restart_in_the_middle_of_work_loses_nothing(own: OwnRedis, settings: Settings) -> None:
    own.kill()
    own._options = ("--appendonly", "yes", "--appendfsync", "always")
    own.start()
    q = queue("a", visibility=1)
    published, done = set(), set()

    def work(number: int) -> None:
        try:
            published.update(q.publish_many([number] * 3))
            for message in q.reserve(batch=2):
                message.ack()
                done.add(message.id)
        except CoordinationError:
            pass

    for number in range(30):
        if number in (10, 20):
            own.kill()
            work(number)
            own.start()
        work(number)
    while taken := q.reserve(batch=50, wait=1.5):
        q.ack(taken)
        done.update(message.id for message in taken)
    assert published <= done
    balanced(q)


def test_a_declaration_is_asked_for_once_a_process(own: OwnRedis) -> None:
    q = queue("a")
    q.publish("x")
    with own.client() as client:
        before = client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)
        for _ in range(5):
            Queue("a", using=None, given={}).publish("y")
        after = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert after - before == 5
    assert declared(q.store, "a", {}).name == "a"


async def test_a_task_is_told_of_a_frozen_server_within_the_deadline(own: OwnRedis) -> None:
    q = queue("a")
    await q.apublish("x")
    own.freeze()
    try:
        for call in (q.apublish("y"), q.areserve(wait=5)):
            with within_the_deadline(), pytest.raises((OutcomeUnknown, StoreUnavailable)):
                await call
    finally:
        own.thaw()
    balanced(q)


def test_a_consumer_outlives_a_restart_and_acks_what_it_did_meanwhile(
    own: OwnRedis, threads: ThreadPoolExecutor
) -> None:
    own.kill()
    own._options = ("--appendonly", "yes", "--appendfsync", "always")
    own.start()
    q = queue("a", visibility=5)
    begun, go_on, stop = threading.Event(), threading.Event(), threading.Event()
    done: list[tuple[object, int]] = []

    def handler(message: Delivery) -> None:
        begun.set()
        assert go_on.wait(10)
        done.append((message.body, message.attempts))

    running = threads.submit(q.run, handler, concurrency=1, stop=stop)
    try:
        q.publish("before")
        assert begun.wait(10)
        own.kill()
        go_on.set()
        until(lambda: bool(done))
        own.start()
        until(lambda: q.stats().held == 0)
        q.publish("after")
        until(lambda: len(done) == 2 and q.stats().held == 0)
    finally:
        go_on.set()
        stop.set()
        running.result(timeout=20)
    assert done == [("before", 1), ("after", 1)]
    balanced(q)


def test_a_consumer_that_began_while_its_store_was_away_keeps_leases(
    own: OwnRedis, threads: ThreadPoolExecutor
) -> None:
    own.kill()
    q = queue("a", visibility=1)
    stop, seen = threading.Event(), list[int]()

    def handler(message: Delivery) -> None:
        seen.append(message.attempts)
        threading.Event().wait(2.5)

    running = threads.submit(q.run, handler, concurrency=2, stop=stop)
    try:
        threading.Event().wait(1)
        own.start()
        until(lambda: published(q))
        until(lambda: bool(seen) and q.stats().held == 0)
    finally:
        stop.set()
        running.result(timeout=20)
    assert seen == [1]


def published(q: Queue) -> bool:
    try:
        q.publish("long")
    except StoreUnavailable:
        return False
    return True


def test_a_large_batch_and_large_bodies_come_whole(own: OwnRedis) -> None:
    own.kill()
    own.start()
    q = queue("a")
    large = "x" * 100_000
    q.publish_many([large] * 8)
    q.publish_many([f"ü{n}" for n in range(1000)])
    taken = q.reserve(batch=8)
    assert [each.body for each in taken] == [large] * 8
    q.ack(taken)
    taken = q.reserve(batch=1000)
    assert [each.body for each in taken] == [f"ü{n}" for n in range(1000)]
    q.nack(taken[::2], delay=0)
    q.ack(taken[1::2])
    again = drained(q)
    assert [each.body for each in again] == [f"ü{n}" for n in range(0, 1000, 2)]
    assert {each.attempts for each in again} == {2}
    balanced(q)
