"""The stores of queues, one file a technology, and which of them an alias means."""

from functools import cache

from django.core.signals import setting_changed

from coordination import conf, registry
from coordination.exceptions import NotSupportedByStore
from coordination.kernel.settings import DATABASE, RABBITMQ, ZOOKEEPER, StoreSettings
from coordination.queues.store import QueueStore
from coordination.queues.stores.postgresql import PostgresQueues
from coordination.queues.stores.redis import RedisQueues
from coordination.queues.stores.sqlite import SqliteQueues


@cache
def queue_store(alias: str) -> QueueStore:
    """The queues of a store. Raises NotSupportedByStore before anything is sent."""
    settings = registry.settings_of(alias)
    if settings.backend == DATABASE:
        return _in_database(settings)
    if settings.backend == RABBITMQ:
        return _rabbitmq(alias)
    if settings.backend != ZOOKEEPER:
        return RedisQueues(registry.redis_store(alias), node=conf.current().node)
    raise NotSupportedByStore(
        f"Store {alias!r} has the backend {settings.backend!r}: there are no queues on it.",
        store=alias,
    )


def _in_database(settings: StoreSettings) -> QueueStore:
    vendor, node = registry.vendor_of(settings), conf.current().node
    if vendor == "postgresql":
        return PostgresQueues(settings, node=node)
    if vendor == "sqlite":
        registry.sidecar_path(settings)  # refuses one in memory
        return SqliteQueues(settings, node=node)
    raise NotSupportedByStore(
        f"Store {settings.alias!r} is the database {settings.using!r}, a {vendor} database: "
        "queues need PostgreSQL or SQLite.",
        store=settings.alias,
    )


def _rabbitmq(alias: str) -> QueueStore:
    store = registry.rabbitmq_store(alias)
    # Its client library is an extra: it may be absent where no store needs it.
    from coordination.queues.stores.rabbitmq import RabbitMQQueues
    from coordination.queues.stores.rabbitmq_ledger_redis import RedisLedger

    default = conf.current().default
    if registry.settings_of(default).backend in (DATABASE, ZOOKEEPER):
        raise NotSupportedByStore(
            f"Store {alias!r} keeps attempts in the DEFAULT store, which must be a Redis; "
            f"{default!r} is none.",
            store=alias,
        )
    return RabbitMQQueues(store, RedisLedger(registry.redis_store(default), alias=alias))


def _forget(*, setting: str, **_: object) -> None:
    if setting == "COORDINATION":
        queue_store.cache_clear()


setting_changed.connect(_forget, dispatch_uid="coordination.queues")
