"""Which holds the queues of an alias have."""

from functools import cache

from django.core.signals import setting_changed

from coordination import conf, registry
from coordination.queues.holding import QueueHolds
from coordination.queues.stores import queue_store
from coordination.queues.stores.postgresql import PostgresQueues
from coordination.queues.stores.redis import RedisQueues
from coordination.queues.stores.redis_holds import RedisQueueHolds
from coordination.queues.stores.sqlite import SqliteQueues
from coordination.queues.stores.sqlite_holds import SqliteQueueHolds


@cache
def queue_holds(alias: str) -> QueueHolds | None:
    """Nothing is sent. None: a publication is part of what the store's database prepares."""
    store = queue_store(alias)
    if isinstance(store, PostgresQueues):
        return None
    if isinstance(store, RedisQueues):
        node = conf.current().node
        return RedisQueueHolds(store, registry.redis_store(alias), node=node)
    if isinstance(store, SqliteQueues):
        return SqliteQueueHolds(store)
    # Its client library is an extra, which is there now.
    from coordination.queues.stores.rabbitmq import RabbitMQQueues
    from coordination.queues.stores.rabbitmq_holds import RabbitMQQueueHolds

    assert isinstance(store, RabbitMQQueues)
    return RabbitMQQueueHolds(store, registry.redis_store(conf.current().default))


def _forget(*, setting: str, **_: object) -> None:
    if setting == "COORDINATION":
        queue_holds.cache_clear()


setting_changed.connect(_forget, dispatch_uid="coordination.queues.holds")
