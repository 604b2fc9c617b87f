"""Waiting is not polling: who waits is woken by what is published."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

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


def test_what_a_loop_came_to_too_late_has_lost_no_attempt(made: Callable[..., Queue]) -> None:
    q = made(visibility=0.3, max_attempts=1)
    q.publish_many(range(3))
    done: list[object] = []
    for message in q.consume(batch=3, wait=0):
        done.append(message.body)
        message.ack()
        threading.Event().wait(0.4)
    assert sorted(done, key=str) == [0, 1, 2]
    assert q.stats().dead == 0
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


async def test_who_gave_up_eats_no_wake_up_of_others(q: Queue, threads: ThreadPoolExecutor) -> None:
    await q.apublish("warm")
    await q.aack(await q.areserve(wait=10))
    given_up = [asyncio.create_task(q.areserve(wait=60)) for _ in range(4)]
    await asyncio.sleep(0.3)
    for each in given_up:
        each.cancel()
    await asyncio.gather(*given_up, return_exceptions=True)

    def waits() -> float:
        (message,) = q.reserve(wait=10)
        at = time.monotonic()
        message.ack()
        return at

    for n in range(3):
        waiting = threads.submit(waits)
        await asyncio.sleep(0.3)  # less than after which it looks for itself
        published_at = time.monotonic()
        await q.apublish(n)
        assert await asyncio.wrap_future(waiting) - published_at < SOON_S


async def test_who_gives_up_when_he_was_woken_wakes_another(q: Queue) -> None:
    await q.apublish("warm")
    await q.aack(await q.areserve(wait=10))
    first = asyncio.create_task(q.areserve(wait=60))
    await asyncio.sleep(0.3)
    second = asyncio.create_task(q.areserve(wait=60))
    await asyncio.sleep(0.2)
    publishing = asyncio.create_task(q.apublish("x"))
    published_at = time.monotonic()
    # Cancelled in the same moment: it may have been woken, and cannot ask any more.
    first.cancel()
    await publishing
    (message,) = await second
    assert time.monotonic() - published_at < SOON_S
    await message.aack()


async def test_who_is_cancelled_while_he_takes_keeps_nothing(q: Queue) -> None:
    bodies = set(range(20))
    await q.apublish_many(bodies)
    acked = set[int]()
    for n in range(20):
        task = asyncio.create_task(q.areserve())
        await asyncio.sleep(0.0004 * n)
        task.cancel()
        with suppress(asyncio.CancelledError):
            taken = await task
            await q.aack(taken)
            acked |= {message.body for message in taken}
    while acked != bodies:
        # Sooner than any lease ends.
        (message,) = await q.areserve(wait=10)
        await message.aack()
        assert message.attempts == 1
        acked.add(message.body)


async def test_a_wait_in_an_event_loop_is_refused(q: Queue) -> None:
    with pytest.raises(InvalidArgument, match="areserve"):
        q.reserve(wait=1)
    with pytest.raises(InvalidArgument, match="areserve"):
        next(q.consume())
