"""The stores of locks, one file a technology, and which of them an alias means."""

from functools import cache

from django.core.signals import setting_changed

from coordination import conf, registry
from coordination.exceptions import NotSupportedByStore
from coordination.kernel.settings import DATABASE, RABBITMQ, ZOOKEEPER, StoreSettings
from coordination.locks.store import LockStore
from coordination.locks.stores.postgresql import PostgresLocks
from coordination.locks.stores.redis import RedisLocks
from coordination.locks.stores.sqlite import SqliteLocks
from coordination.locks.types import Kind


@cache
def lock_store(alias: str) -> LockStore:
    """The locks of a store. Raises NotSupportedByStore before anything is sent."""
    store = _made(alias)
    _used.add(alias)
    return store


def _made(alias: str) -> LockStore:
    settings = registry.settings_of(alias)
    if settings.backend == DATABASE:
        return _database_locks(settings)
    if settings.backend == ZOOKEEPER:
        store = registry.zookeeper_store(alias)
        # Only now: kazoo is an extra.
        from coordination.locks.stores.zookeeper import ZooKeeperLocks

        return ZooKeeperLocks(store, node=conf.current().node)
    return RedisLocks(registry.redis_store(alias), node=conf.current().node)


def _database_locks(settings: StoreSettings) -> LockStore:
    vendor = registry.vendor_of(settings)
    node = conf.current().node
    if vendor == "postgresql":
        return PostgresLocks(settings, node=node)
    if vendor == "sqlite":
        return SqliteLocks(settings, node=node)
    raise NotSupportedByStore(
        f"Store {settings.alias!r} is the database {settings.using!r}, a {vendor} database: "
        "locks need PostgreSQL or SQLite.",
        store=settings.alias,
    )


def aliases_in_use() -> set[str]:
    """Stores whose locks this process used, and those that its settings send names to."""
    settings = conf.current()
    kinds = {kind.value for kind in Kind}
    routed = {route.store for route in settings.routes if route.primitive in kinds}
    named = {settings.default, *routed}
    return _used | {each for each in named if settings.stores[each].backend != RABBITMQ}


_used: set[str] = set()


def _forget(*, setting: str, **_: object) -> None:
    if setting == "COORDINATION":
        lock_store.cache_clear()
        _used.clear()


setting_changed.connect(_forget, dispatch_uid="coordination.locks")
