"""Which stores keep events of queues themselves, for an importer to copy."""

from __future__ import annotations

from coordination import conf, registry
from coordination.exceptions import NotSupportedByStore
from coordination.kernel.settings import DATABASE, RABBITMQ, ZOOKEEPER, StoreSettings
from coordination.queues.foreign import QueueEventSource
from coordination.queues.stores.redis_events import RedisQueueEvents
from coordination.queues.stores.sqlite_events import SqliteQueueEvents


def event_sources() -> list[QueueEventSource]:
    """A source for each configured store that has one. Nothing is connected to yet."""
    stores = conf.current().stores.values()
    return [source for store in stores if (source := _source(store)) is not None]


def unseen() -> list[str]:
    """Stores in a PostgreSQL that is not the coordinator's: nobody reads their events there."""
    settings = conf.current()
    return [
        store.alias
        for store in settings.stores.values()
        if store.backend == DATABASE
        and registry.vendor_of(store) == "postgresql"
        and store.using != settings.transactions.using
    ]


def _source(store: StoreSettings) -> QueueEventSource | None:
    if store.backend == DATABASE:
        return _beside_database(store)
    if store.backend in (RABBITMQ, ZOOKEEPER):
        return None
    try:
        return RedisQueueEvents(registry.redis_store(store.alias))
    except NotSupportedByStore:
        return None  # A class of the project's own, of which no Redis is made.


def _beside_database(store: StoreSettings) -> QueueEventSource | None:
    """PostgreSQL has its events among those of the project already."""
    if registry.vendor_of(store) != "sqlite":
        return None
    try:
        registry.sidecar_path(store)
    except NotSupportedByStore:
        return None  # One in memory, which can have no queues.
    return SqliteQueueEvents(store)
