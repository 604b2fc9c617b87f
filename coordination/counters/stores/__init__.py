"""The stores of counters, one file a technology, and which of them an alias means."""

from functools import cache

from django.core.signals import setting_changed

from coordination import conf, registry
from coordination.counters.store import CounterStore
from coordination.counters.stores.postgresql import PostgresCounters
from coordination.counters.stores.redis import RedisCounters
from coordination.counters.stores.redis_windows import RedisWindows
from coordination.counters.stores.sqlite import SqliteCounters
from coordination.exceptions import NotSupportedByStore
from coordination.kernel.settings import DATABASE, RABBITMQ, ZOOKEEPER, StoreSettings


@cache
def counter_store(alias: str) -> CounterStore:
    """The counters of a store. Raises NotSupportedByStore before anything is sent."""
    settings = registry.settings_of(alias)
    node = conf.current().node
    if settings.backend == DATABASE:
        return _database_counters(settings, node)
    if settings.backend == ZOOKEEPER:
        store = registry.zookeeper_store(alias)
        # Only now: kazoo is an extra.
        from coordination.counters.stores.zookeeper import ZooKeeperCounters

        return ZooKeeperCounters(store, node=node)
    if settings.backend == RABBITMQ:
        raise NotSupportedByStore(
            f"Store {alias!r} is a RabbitMQ, which keeps messages: counters live on redis, "
            "zookeeper and database.",
            store=alias,
        )
    return RedisCounters(registry.redis_store(alias), node=node)


@cache
def window_store(alias: str) -> RedisWindows:
    """The windows of a store. Raises NotSupportedByStore before anything is sent."""
    settings = registry.settings_of(alias)
    if settings.backend in (DATABASE, ZOOKEEPER, RABBITMQ):
        raise NotSupportedByStore(
            f"Store {alias!r} has the backend {settings.backend!r}; windows and rate limits live "
            "on redis.",
            store=alias,
        )
    return RedisWindows(registry.redis_store(alias))


def _database_counters(settings: StoreSettings, node: str) -> CounterStore:
    vendor = registry.vendor_of(settings)
    if vendor == "postgresql":
        return PostgresCounters(settings, node=node)
    if vendor == "sqlite":
        return SqliteCounters(settings, node=node)
    raise NotSupportedByStore(
        f"Store {settings.alias!r} is the database {settings.using!r}, a {vendor} database: "
        "counters need PostgreSQL or SQLite.",
        store=settings.alias,
    )


def _forget(*, setting: str, **_: object) -> None:
    if setting == "COORDINATION":
        counter_store.cache_clear()
        window_store.cache_clear()


setting_changed.connect(_forget, dispatch_uid="coordination.counters")
