"""Which stores keep events of locks in streams of their own."""

from __future__ import annotations

import logging

from coordination import conf, registry
from coordination.exceptions import NotSupportedByStore
from coordination.kernel.settings import DATABASE, REDIS, ZOOKEEPER, StoreSettings
from coordination.locks.foreign import LockEventSource
from coordination.locks.stores import lock_store
from coordination.locks.stores.redis_events import RedisLockEvents
from coordination.locks.stores.sqlite_events import SqliteLockEvents

logger = logging.getLogger(__name__)


def event_sources() -> list[LockEventSource]:
    """A source for each configured store that has one. Nothing is connected to yet."""
    stores = conf.current().stores.values()
    return [source for store in stores if (source := _source(store)) is not None]


def _source(store: StoreSettings) -> LockEventSource | None:
    if store.backend == DATABASE:
        return _beside_database(store)
    if store.backend == ZOOKEEPER:
        return _in_zookeeper(store.alias)
    if store.backend == REDIS or _made_redis(store.alias, store.backend):
        return RedisLockEvents(registry.redis_store(store.alias))
    return None


def _beside_database(store: StoreSettings) -> LockEventSource | None:
    """PostgreSQL has its events among those of the project already."""
    if registry.vendor_of(store) != "sqlite":
        return None
    try:
        registry.sidecar_path(store)
    except NotSupportedByStore:
        return None  # It can have no locks.
    return SqliteLockEvents(store)


def _in_zookeeper(alias: str) -> LockEventSource | None:
    try:
        locks = lock_store(alias)
    except NotSupportedByStore as error:
        # kazoo is not installed here: that must not keep the other stores from being read.
        logger.warning("events of %s are not read: %s", alias, error)
        return None
    # Only now: kazoo is an extra.
    from coordination.locks.stores.zookeeper import ZooKeeperLocks
    from coordination.locks.stores.zookeeper.source import ZooKeeperLockEvents

    return ZooKeeperLockEvents(locks) if isinstance(locks, ZooKeeperLocks) else None


def _made_redis(alias: str, backend: str) -> bool:
    """Whether a class of the project's own makes a Redis store."""
    if "." not in backend:
        return False
    try:
        registry.redis_store(alias)
    except NotSupportedByStore:
        return False
    return True
