"""Many messages and many who wait: what is trimmed, and what a publication costs."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from pytest_django import Settings

from coordination import queue
from tests.contract.queues.taking import balanced, one, until
from tests.integration.own_redis import OwnRedis, own_redis

__all__ = ["own_redis"]

EVENTS_KEPT = 20_000
WAITING = 30


@pytest.fixture
def own(own_redis: OwnRedis, settings: Settings) -> OwnRedis:
    """A Redis of this test's own as the store of queues."""
    store = {"BACKEND": "redis", "LOCATION": own_redis.url}
    settings.COORDINATION = {"NODE": "test", "STORES": {"redis": store}}
    return own_redis


def test_messages_outlive_the_events_that_told_of_them(own: OwnRedis) -> None:
    q = queue("a")
    ids: list[str] = []
    while len(ids) <= EVENTS_KEPT:
        ids += q.publish_many(range(1_000))
    with own.client() as client:
        (stream,) = client.scan_iter("*:events")
        filling = client.pipeline()
        for _ in range(EVENTS_KEPT + 500):
            filling.xadd(stream, {"e": "of another queue"}, maxlen=EVENTS_KEPT, approximate=True)
        filling.execute()
        ((_, oldest),) = client.xrange(stream, count=1)
    assert oldest["e"] == "of another queue"
    done: list[str] = []
    while taken := q.reserve(batch=1_000):
        done += [each.id for each in taken]
        q.ack(taken)
    assert done == ids
    balanced(q)


def test_a_publication_wakes_as_many_as_there_is_work_for(own: OwnRedis) -> None:
    q = queue("a")
    q.publish("warm")
    one(q).ack()
    woken: list[object] = []
    mutex = threading.Lock()

    def wait() -> None:
        (message,) = q.reserve(wait=20)
        message.ack()
        with mutex:
            woken.append(message.body)

    with ThreadPoolExecutor(WAITING) as pool, own.client() as client:

        def done(command: str) -> int:
            told = client.info("commandstats").get(f"cmdstat_{command}", {})
            return int(told.get("calls", 0))

        waiting = [pool.submit(wait) for _ in range(WAITING)]
        until(lambda: sum(client.zcard(key) for key in client.scan_iter("*:waiters:a")) == WAITING)
        before = done("publish")
        ids = q.publish_many(range(3))
        until(lambda: len(woken) == 3)
        assert done("publish") - before == len(ids)
        q.publish_many(range(3, WAITING))
        for each in waiting:
            each.result(20)
    assert sorted(woken) == list(range(WAITING))
    balanced(q)
