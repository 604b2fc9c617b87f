"""Waiting is not polling: who waits is woken by what is published."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from coordination.exceptions import InvalidArgument
from coordination.queues.api import Queue
from coordination.queues.types import Capability
from tests.contract.queues.taking import balanced, one, until

SOON_S = 0.5
"""Less than after which who waits looks for himself."""


def test_who_waits_is_woken_at_once(q: Queue, threads: ThreadPoolExecutor) -> None:
    q.publish("warm")
    one(q).ack()
    for n in range(3):
        waiting = threads.submit(q.reserve, wait=10)
        until(waiting.running)
        published_at = time.monotonic()
        q.publish(n)
        (message,) = waiting.result(timeout=10)
        assert message.body == n
        assert time.monotonic() - published_at < SOON_S
        message.ack()


def test_each_of_several_who_wait_gets_one(q: Queue, threads: ThreadPoolExecutor) -> None:
    waiting = [threads.submit(q.reserve, wait=10) for _ in range(4)]
    q.publish_many(range(4))
    found = [message for each in waiting for message in each.result(timeout=20)]
    assert sorted(message.body for message in found) == [0, 1, 2, 3]
    q.ack(found)
    balanced(q)


def test_a_wait_ends(q: Queue) -> None:
    begun = time.monotonic()
    assert q.reserve(wait=0.2) == []
    assert 0.2 <= time.monotonic() - begun < 2


def test_a_loop_ends_when_it_is_idle_and_gives_back_what_it_did_not_come_to(q: Queue) -> None:
    q.publish_many(range(5))
    for message in q.consume(batch=3, wait=0):
        message.ack()
        if message.body == 3:
            break
    assert q.stats().in_flight == 0
    (left,) = q.reserve()
    assert (left.body, left.attempts) == (4, 1)
    left.ack()
    assert list(q.consume(wait=0.05)) == []
    balanced(q)


async def test_tasks_publish_take_and_settle(q: Queue) -> None:
    waiting = asyncio.create_task(q.areserve(wait=10))
    await asyncio.sleep(0)
    id_ = await q.apublish({"n": 1}, headers={"h": 1})
    (message,) = await waiting
    assert (message.id, message.body) == (id_, {"n": 1})
    await message.anack(delay=0)
    (again,) = await q.areserve(wait=10)
    await again.aack()
    await q.apublish_many(["a", "b"])
    first, second = await q.areserve(batch=2)
    await first.areject()
    if Capability.EXTEND in q.store.capabilities:
        await second.aextend(20)
    await second.aack()


async def test_a_wait_in_an_event_loop_is_refused(q: Queue) -> None:
    with pytest.raises(InvalidArgument, match="areserve"):
        q.reserve(wait=1)
    with pytest.raises(InvalidArgument, match="areserve"):
        next(q.consume())
