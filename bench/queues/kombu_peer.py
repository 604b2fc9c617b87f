"""kombu, as Celery uses it, on either broker."""

from collections.abc import Callable, Sequence
from typing import Any

import redis

from bench.addresses import redis_url
from bench.queues.ways import MANY, WAIT_S, Hands, Publish


def publisher(url: Callable[[], str], name: str) -> Publish:
    """One message after the other; on RabbitMQ each is confirmed."""
    producer = _connection(url).Producer(serializer="json")
    queue = _queue(name)

    def publish(bodies: Sequence[str]) -> None:
        for body in bodies:
            producer.publish(body, routing_key=name, delivery_mode="persistent", declare=[queue])

    return publish


def consume(url: Callable[[], str], name: str, hands: Hands) -> None:
    """Each message is acked by itself."""
    from kombu import Consumer

    def taken(body: str, message: Any) -> None:
        hands.take([body])
        message.ack()
        hands.acked()

    with (
        _connection(url) as connection,
        Consumer(connection, [_queue(name)], callbacks=[taken], prefetch_count=MANY),
    ):
        hands.ready()
        while not hands.complete:
            try:
                connection.drain_events(timeout=WAIT_S)
            except TimeoutError:
                continue


def left_in_redis(name: str) -> int:
    """Ready ones of this queue, and what is taken and not acked of any."""
    client: Any = redis.Redis.from_url(redis_url(0))
    left: int = client.llen(name) + client.hlen("unacked")
    client.delete(name)
    return left


def _connection(url: Callable[[], str]) -> Any:
    from kombu import Connection

    options = {"confirm_publish": True} if url().startswith("amqp") else {}
    return Connection(url(), transport_options=options)


def _queue(name: str) -> Any:
    from kombu import Queue

    return Queue(name, routing_key=name, durable=True)
