"""RabbitMQ by pika and aio-pika: durable queues, persistent messages, all confirmed."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from bench.addresses import rabbitmq_url
from bench.queues import names
from bench.queues.ways import MANY, WAIT_S, Hands, Publish, Way

QUORUM, CLASSIC = {"x-queue-type": "quorum"}, {}
PERSISTENT = 2


def _pika() -> Any:
    import pika

    return pika.BlockingConnection(pika.URLParameters(rabbitmq_url()))


def make(name: str, *, arguments: dict[str, str]) -> None:
    """Declare a durable queue."""
    connection = _pika()
    connection.channel().queue_declare(name, durable=True, arguments=arguments)
    connection.close()


def left(name: str) -> int:
    """What the broker still has, when nobody consumes any more."""
    connection = _pika()
    channel = connection.channel()
    count: int = channel.queue_declare(name, passive=True).method.message_count
    channel.queue_delete(name)
    connection.close()
    return count


def _pika_publisher(name: str) -> Publish:
    import pika

    channel = _pika().channel()
    channel.confirm_delivery()
    properties = pika.BasicProperties(delivery_mode=PERSISTENT)

    def publish(bodies: Sequence[str]) -> None:
        for body in bodies:
            # Returns when it is confirmed; raises when it is not.
            channel.basic_publish("", name, body.encode(), properties, mandatory=True)

    return publish


def _pika_consume(name: str, hands: Hands) -> None:
    connection = _pika()
    channel = connection.channel()
    channel.basic_qos(prefetch_count=MANY)
    hands.ready()
    for method, _, body in channel.consume(name, inactivity_timeout=WAIT_S):
        if method is not None:
            hands.take([body.decode()])
            channel.basic_ack(method.delivery_tag)
            hands.acked()
        if hands.complete:
            break
    connection.close()


def _aio_pika_publisher(name: str) -> Publish:
    import aio_pika

    runner = asyncio.Runner()

    async def opened() -> Any:
        connection = await aio_pika.connect(rabbitmq_url())
        return await connection.channel(publisher_confirms=True)

    exchange = runner.run(opened()).default_exchange

    async def publish(bodies: Sequence[str]) -> None:
        await asyncio.gather(
            *(
                exchange.publish(
                    aio_pika.Message(body.encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT),
                    name,
                )
                for body in bodies
            )
        )

    return lambda bodies: runner.run(publish(bodies))


def _aio_pika_consume(name: str, hands: Hands) -> None:
    asyncio.run(_aio_pika_consuming(name, hands))


async def _aio_pika_consuming(name: str, hands: Hands) -> None:
    import aio_pika

    connection = await aio_pika.connect(rabbitmq_url())
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=MANY)
    queue = await channel.declare_queue(name, passive=True)

    async def taken(message: Any) -> None:
        hands.take([message.body.decode()])
        await message.ack()
        hands.acked()

    hands.ready()
    await queue.consume(taken)
    while not hands.complete:  # noqa: ASYNC110 - what it waits for is another process's
        await asyncio.sleep(WAIT_S)
    await connection.close()


def _way(name: str, publisher: Any, consume: Any, arguments: dict[str, str]) -> Way:
    return Way(
        name=name,
        publisher=publisher,
        consume=consume,
        make=partial(make, arguments=arguments),
        left=left,
    )


WAYS = (
    _way(names.PIKA_QUORUM, _pika_publisher, _pika_consume, QUORUM),
    _way(names.PIKA_CLASSIC, _pika_publisher, _pika_consume, CLASSIC),
    _way(names.AIO_PIKA_QUORUM, _aio_pika_publisher, _aio_pika_consume, QUORUM),
    _way(names.AIO_PIKA_CLASSIC, _aio_pika_publisher, _aio_pika_consume, CLASSIC),
)
