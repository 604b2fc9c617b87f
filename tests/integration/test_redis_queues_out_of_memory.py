"""Queues in a Redis that is out of memory are emptied, and looked after by operators."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from pytest_django import Settings

from coordination import Message, queue
from coordination.exceptions import OutcomeUnknown, QueueFull, StaleReceipt, StoreUnavailable
from tests.contract.locks.asking import pass_time
from tests.contract.queues.taking import balanced
from tests.integration.own_redis import OwnRedis, own_redis

__all__ = ["own_redis"]


@pytest.fixture
def own(own_redis: OwnRedis, settings: Settings) -> OwnRedis:
    """A Redis of this test's own as the store of queues."""
    store = {"BACKEND": "redis", "LOCATION": own_redis.url}
    settings.COORDINATION = {"NODE": "test", "STORES": {"redis": store}}
    return own_redis


@pytest.fixture
def full(own: OwnRedis) -> Iterator[Callable[[], None]]:
    """Lets the server run out of memory, from which on it refuses what takes some."""
    with own.client() as client:

        def fill() -> None:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", 1)

        yield fill


OF_ALL_KINDS = [
    *(Message(n, group="g", expires=3600) for n in range(3)),
    *(Message(n, priority=n % 3) for n in range(3, 6)),
]


@pytest.mark.parametrize("batch", [range(6), OF_ALL_KINDS], ids=["plain", "of all kinds"])
@pytest.mark.parametrize("attempts", [3, 1], ids=["comes again", "dies"])
def test_a_queue_is_emptied_while_the_server_is_out_of_memory(
    full: Callable[[], None], batch: Sequence[Any], attempts: int
) -> None:
    q = queue("a", visibility=0.5, max_attempts=attempts)
    q.publish_many(batch)
    assert q.reserve(batch=2)  # and its taker vanishes
    full()
    with pytest.raises(StoreUnavailable):
        q.publish("more")
    pass_time(0.6)
    done = 0
    while taken := q.reserve(batch=2):
        q.extend(taken)
        q.ack(taken)
        done += len(taken)
    letters = queue("a.dlq")
    while taken := letters.reserve(batch=2):
        letters.ack(taken)
        done += len(taken)
    assert done == 6
    balanced(q)


def test_all_but_publishing_works_while_the_server_is_out_of_memory(
    full: Callable[[], None],
) -> None:
    q = queue("a", visibility=30)
    q.publish_many(OF_ALL_KINDS)
    taken = q.reserve(batch=3)
    full()
    q.pause(publishing=False)
    assert q.reserve(wait=0.2) == []
    q.resume()
    q.nack(taken[0], delay=0)
    q.reject(taken[1])
    taken[2].extend(20)
    taken[2].ack()
    with pytest.raises(StaleReceipt):
        taken[2].ack()
    assert q.redrive() == 1
    assert q.purge() == 5
    assert q.purge() == 0
    balanced(q)


def test_a_sweep_that_fails_halfway_does_not_say_that_nothing_was_done(own: OwnRedis) -> None:
    q = queue("a")
    q.publish_many(range(500))
    with pytest.raises(OutcomeUnknown, match="After 200 messages") as told:
        q.purge(progress=lambda _done: own.kill())
    assert told.value.applied is None
    own.start()
    bounded = queue("b", max_length=300)
    assert bounded.declared.max_length == 300
    q.publish_many(range(500))
    with pytest.raises(QueueFull, match="After 300 messages") as full:
        q.move("b")
    assert full.value.applied is None
    assert bounded.stats().ready == 300
