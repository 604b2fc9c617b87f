"""Redis streams with a consumer group, by redis-py: one by one, and pipelined."""

from functools import partial
from typing import Any

import redis

from bench.addresses import redis_url
from bench.queues import names
from bench.queues.ways import MANY, WAIT_S, Hands, Publish, Way

GROUP, CONSUMER = "bench", "one"


def _client() -> Any:
    return redis.Redis.from_url(redis_url())


def _make(name: str) -> None:
    _client().xgroup_create(name, GROUP, id="0", mkstream=True)


def _left(name: str) -> int:
    """Taken and not acked; what was never taken is known otherwise."""
    client = _client()
    left: int = client.xpending(name, GROUP)["pending"]
    client.delete(name)
    return left


def _publisher(name: str) -> Publish:
    client = _client()

    def publish(bodies: list[str]) -> None:
        pipeline = client.pipeline(transaction=False)
        for body in bodies:
            pipeline.xadd(name, {"body": body})
        pipeline.execute()

    def publish_one(bodies: list[str]) -> None:
        client.xadd(name, {"body": bodies[0]})

    return lambda bodies: (publish if len(bodies) > 1 else publish_one)(list(bodies))


def _consume(name: str, hands: Hands, *, count: int) -> None:
    client = _client()
    client.ping()
    hands.ready()
    while not hands.complete:
        found = client.xreadgroup(
            GROUP, CONSUMER, {name: ">"}, count=count, block=int(WAIT_S * 1000)
        )
        if not found:
            continue
        entries = found[0][1] if isinstance(found, list) else found[name.encode()][0]
        hands.take([fields[b"body"].decode() for _, fields in entries])
        client.xack(name, GROUP, *(id_ for id_, _ in entries))
        hands.acked()


def _streams(name: str, count: int) -> Way:
    return Way(
        name=name,
        publisher=_publisher,
        consume=partial(_consume, count=count),
        make=_make,
        left=_left,
        batch=count,
    )


WAYS = (_streams(names.STREAMS, MANY), _streams(names.STREAMS_ONE, 1))
