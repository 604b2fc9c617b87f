"""A dramatiq actor, by one worker of 8 threads, its default."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import redis

from bench.addresses import rabbitmq_url, redis_url
from bench.queues import rabbitmq_peers
from bench.queues.ways import WAIT_S, Hands, Publish

Broker = Callable[[], Any]


def on_redis() -> Any:
    """A broker in the same Redis."""
    from dramatiq.brokers.redis import RedisBroker

    return RedisBroker(url=redis_url(0))


def on_rabbitmq() -> Any:
    """A broker with confirms."""
    from dramatiq.brokers.rabbitmq import RabbitmqBroker

    return RabbitmqBroker(url=rabbitmq_url(), confirm_delivery=True)


def publisher(broker: Broker, name: str) -> Publish:
    """One message after the other."""
    actor = _actor(broker(), name, lambda body: None)

    def publish(bodies: Sequence[str]) -> None:
        for body in bodies:
            actor.send(body)

    return publish


def consume(broker: Broker, name: str, hands: Hands) -> None:
    """A worker, until it is complete."""
    import dramatiq

    mutex, own = threading.Lock(), broker()

    def work(body: str) -> None:
        with mutex:
            hands.take([body])

    _actor(own, name, work)
    worker = dramatiq.Worker(own)
    worker.start()
    hands.ready()
    while not hands.complete:
        threading.Event().wait(WAIT_S)
    worker.stop()


def left_in_redis(name: str) -> int:
    """What is not acked is in the hash of its messages."""
    client: Any = redis.Redis.from_url(redis_url(0))
    left: int = client.hlen(f"dramatiq:{name}.msgs")
    client.delete(f"dramatiq:{name}", f"dramatiq:{name}.msgs")
    return left


def make_in_rabbitmq(name: str) -> None:
    """Its queue, and those for delays and dead messages."""
    on_rabbitmq().declare_queue(name, ensure=True)


def left_in_rabbitmq(name: str) -> int:
    """In all three of its queues."""
    return sum(rabbitmq_peers.left(f"{name}{suffix}") for suffix in ("", ".DQ", ".XQ"))


def _actor(broker: Any, name: str, work: Callable[[str], None]) -> Any:
    import dramatiq

    return dramatiq.actor(work, broker=broker, actor_name="work", queue_name=name)
