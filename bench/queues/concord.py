"""Concord's queues by the public API, on every store there is."""

import threading
from collections.abc import Callable, Sequence
from functools import partial

from bench.queues import names
from bench.queues.ways import MANY, WAIT_S, Hands, Publish, Way
from coordination import queue

Consume = Callable[[str, str, Hands], None]


def _publisher(name: str, *, using: str) -> Publish:
    own = queue(name, using=using)

    def publish(bodies: Sequence[str]) -> None:
        if len(bodies) == 1:
            own.publish(bodies[0])
        else:
            own.publish_many(bodies)

    return publish


def _in_batches(using: str, name: str, hands: Hands) -> None:
    own = queue(name, using=using)
    own.reserve(MANY)
    hands.ready()
    while not hands.complete:
        taken = own.reserve(MANY, wait=WAIT_S)
        if taken:
            hands.take([each.body for each in taken])
            own.ack(taken)
            hands.acked()
    own.stats()  # also brings away the acks that RabbitMQ is told of afterwards


def _one_by_one(using: str, name: str, hands: Hands) -> None:
    own = queue(name, using=using)
    own.reserve()
    hands.ready()
    while not hands.complete:
        for message in own.consume(wait=WAIT_S):
            hands.take([message.body])
            message.ack()
            hands.acked()
    own.stats()


def _running(using: str, name: str, hands: Hands) -> None:
    """`run()`, whose own threads ack when the handler has returned."""
    own, stop, mutex = queue(name, using=using), threading.Event(), threading.Lock()
    own.reserve()

    def handle(body: str) -> None:
        with mutex:
            hands.take([body])

    def watch() -> None:
        hands.ready()
        while not hands.complete:
            stop.wait(WAIT_S)
        stop.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    own.run(lambda message: handle(message.body), stop=stop)
    watcher.join()
    own.stats()


def _make(name: str, *, using: str) -> None:
    queue(name, using=using, visibility=30).stats()


def _left(name: str, *, using: str) -> int:
    own = queue(name, using=using)
    if using == "rabbitmq":
        # What is acked may still be on the server: it is dropped when it is delivered again.
        return len(own.reserve(MANY, wait=WAIT_S))
    told = own.stats()
    return (told.ready or 0) + (told.delayed or 0) + (told.in_flight or 0) + (told.dead or 0)


def _way(name: str, using: str, consume: Consume, *, batch: int = MANY) -> Way:
    return Way(
        name=name,
        publisher=partial(_publisher, using=using),
        consume=partial(consume, using),
        make=partial(_make, using=using),
        left=partial(_left, using=using),
        batch=batch,
    )


ON_REDIS = (
    _way(names.CONCORD, "redis", _in_batches),
    _way(names.CONCORD_ONE, "redis", _one_by_one, batch=1),
    _way(names.CONCORD_RUN, "redis", _running),
)
ON_RABBITMQ = (
    _way(names.CONCORD_RABBITMQ, "rabbitmq", _in_batches),
    _way(names.CONCORD_RABBITMQ_ONE, "rabbitmq", _one_by_one, batch=1),
    _way(names.CONCORD_RABBITMQ_RUN, "rabbitmq", _running),
)
ON_DATABASES = (
    _way(names.CONCORD_POSTGRESQL, "database", _in_batches),
    _way(names.CONCORD_POSTGRESQL_ONE, "database", _one_by_one, batch=1),
    _way(names.CONCORD_POSTGRESQL_RUN, "database", _running),
    _way(names.CONCORD_SQLITE, "sqlite", _in_batches),
    _way(names.CONCORD_SQLITE_ONE, "sqlite", _one_by_one, batch=1),
)
