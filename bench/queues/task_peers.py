"""Which of Python's messaging and task libraries are compared, on which server."""

from functools import partial

from bench.addresses import rabbitmq_url, redis_url
from bench.queues import celery_peer, dramatiq_peer, kombu_peer, names, procrastinate_peer
from bench.queues.rabbitmq_peers import left, make
from bench.queues.ways import MANY, Way

_classic = partial(make, arguments={})
_broker_url = partial(redis_url, 0)


def _nothing(name: str) -> None:
    """Their own publishers make it."""


ON_REDIS = (
    Way(
        name=names.KOMBU_REDIS,
        publisher=partial(kombu_peer.publisher, _broker_url),
        consume=partial(kombu_peer.consume, _broker_url),
        make=_nothing,
        left=kombu_peer.left_in_redis,
    ),
    Way(
        name=names.DRAMATIQ_REDIS,
        publisher=partial(dramatiq_peer.publisher, dramatiq_peer.on_redis),
        consume=partial(dramatiq_peer.consume, dramatiq_peer.on_redis),
        make=_nothing,
        left=dramatiq_peer.left_in_redis,
    ),
    Way(
        name=names.CELERY_REDIS,
        publisher=partial(celery_peer.publisher, _broker_url),
        consume=partial(celery_peer.consume, _broker_url),
        make=_nothing,
        left=kombu_peer.left_in_redis,
    ),
)
ON_RABBITMQ = (
    Way(
        name=names.KOMBU_RABBITMQ,
        publisher=partial(kombu_peer.publisher, rabbitmq_url),
        consume=partial(kombu_peer.consume, rabbitmq_url),
        make=_classic,
        left=left,
    ),
    Way(
        name=names.DRAMATIQ_RABBITMQ,
        publisher=partial(dramatiq_peer.publisher, dramatiq_peer.on_rabbitmq),
        consume=partial(dramatiq_peer.consume, dramatiq_peer.on_rabbitmq),
        make=dramatiq_peer.make_in_rabbitmq,
        left=dramatiq_peer.left_in_rabbitmq,
    ),
    Way(
        name=names.CELERY_RABBITMQ,
        publisher=partial(celery_peer.publisher, rabbitmq_url),
        consume=partial(celery_peer.consume, rabbitmq_url),
        make=_classic,
        left=left,
    ),
)
ON_POSTGRESQL = tuple(
    Way(
        name=name,
        publisher=procrastinate_peer.publisher,
        consume=procrastinate_peer.consume,
        make=_nothing,
        left=procrastinate_peer.left,
        batch=batch,
    )
    for name, batch in ((names.PROCRASTINATE_BATCH, MANY), (names.PROCRASTINATE, 1))
)
