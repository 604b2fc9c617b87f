"""What a queue is made of on a RabbitMQ server, and its names there.

Every queue is a durable quorum queue with the same arguments, so that what users declare can change
without the server's refusal. Its own limit of deliveries is only a backstop: RabbitMQ 3.10 counts a
delivery that nobody began, whenever a channel closes, so a small one would kill innocent messages.

A delayed message waits in a queue of all those with that delay, from which it falls back into its
own when its time is over: messages of one delay leave in order, those of several would not.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from coordination.connections.rabbitmq import (
    NOT_FOUND,
    PRECONDITION_FAILED,
    Channel,
    RabbitMQRefused,
    Steps,
    Wire,
)
from coordination.exceptions import InvalidArgument, StoreUnavailable
from coordination.queues.types import Declaration

T = TypeVar("T")

QUEUES, DEAD = "concord.queues", "concord.dead"
"""Exchanges: to a queue by its name, and to the dead letters of the queue with that name."""
QUEUE, DELAY = "concord.queue.", "concord.delay."

DELIVERIES_MAX = 10_000
DELIVERIES_WORN = DELIVERIES_MAX // 2
"""After so many a message is published anew, so that only what ends its takers meets the limit."""
RUNG_MS_MIN = 64
RUNG_MS_MAX = 32 * 86_400_000


def queue_name(name: str) -> str:
    """What the server calls it."""
    return QUEUE + name


def rung_ms(delay_ms: int) -> int:
    """How long a message with this delay is kept: at most half as long again.

    So few queues serve all delays: two for each doubling.
    """
    rung = RUNG_MS_MIN
    while rung < delay_ms:
        if delay_ms <= rung * 3 // 2:
            return rung * 3 // 2
        rung *= 2
    return rung


def declare(wire: Wire, queue: Declaration, *, store: str) -> Steps[None]:
    """Make the queue, and that of its dead letters, unless this connection knows them.

    Raises InvalidArgument when somebody else has made a queue of that name with other arguments.
    """
    known = (queue.name, queue.dead_letter)
    if known in wire.known:
        return
    names = [queue.name] if queue.dead_letter is None else [queue.name, queue.dead_letter]
    # Its own channel: what the server refuses closes it.
    channel = yield from wire.channel()
    try:
        yield channel.declare_exchange(QUEUES, "direct")
        yield channel.declare_exchange(DEAD, "direct")
        for name in names:
            yield channel.declare(queue_name(name), _arguments(DEAD, key=name))
            yield channel.bind(queue_name(name), QUEUES, name)
        if queue.dead_letter is not None:
            yield channel.bind(queue_name(queue.dead_letter), DEAD, queue.name)
    except RabbitMQRefused as error:
        raise _refusal(error, queue.name, store=store) from error
    wire.known.add(known)
    yield channel.close_it()


def again_if_gone(steps: Callable[[Wire], Steps[T]]) -> Callable[[Wire], Steps[T]]:
    """The same exchange, made once more when it meets a queue that somebody has deleted."""

    def twice(wire: Wire) -> Steps[T]:
        try:
            return (yield from steps(wire))
        except RabbitMQRefused as error:
            if error.status != NOT_FOUND:
                raise
        wire.known.clear()
        return (yield from steps(wire))

    return twice


def unbind_dead(wire: Wire, name: str, dead_letter: str, *, store: str) -> Steps[None]:
    """The server's own dead letters of a queue no longer go there."""
    channel = yield from wire.channel()
    try:
        yield channel.unbind(queue_name(dead_letter), DEAD, name)
    except RabbitMQRefused as error:
        raise _refusal(error, name, store=store) from error
    yield channel.close_it()


def declare_rung(wire: Wire, delay_ms: int, *, store: str) -> Steps[str]:
    """Make the queue of a delay; the exchange that leads there."""
    name = f"{DELAY}{delay_ms}"
    if name not in wire.known:
        channel: Channel = yield from wire.channel()
        try:
            yield channel.declare_exchange(QUEUES, "direct")
            yield channel.declare_exchange(name, "fanout")
            # Without a routing key of its own it keeps the one it was published with.
            yield channel.declare(name, _arguments(QUEUES) | {"x-message-ttl": delay_ms})
            yield channel.bind(name, name, "")
        except RabbitMQRefused as error:
            raise _refusal(error, name, store=store) from error
        wire.known.add(name)
        yield channel.close_it()
    return name


def _arguments(exchange: str, *, key: str | None = None) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": exchange,
        # Confirmed between the queues as well; the server refuses it without this overflow.
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    if key is not None:
        arguments |= {"x-dead-letter-routing-key": key, "x-delivery-limit": DELIVERIES_MAX}
    return arguments


def _refusal(
    error: RabbitMQRefused, name: str, *, store: str
) -> InvalidArgument | StoreUnavailable:
    if error.status == PRECONDITION_FAILED:
        return InvalidArgument(
            f"Queue {name!r} on {store!r} is on the server with other arguments, made by somebody "
            f"else: {error.reason}. Delete it there, or choose another name.",
            name=name,
            store=store,
            reason=error.reason,
        )
    return StoreUnavailable(
        f"Queue {name!r} on {store!r}: {error}", name=name, store=store, reason=error.reason
    )
