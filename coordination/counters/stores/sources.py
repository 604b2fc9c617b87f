"""Which stores keep events of counters in streams of their own, and which say how they stand."""

from __future__ import annotations

import logging

from coordination import conf
from coordination.counters.foreign import CounterEventSource, CounterStates
from coordination.counters.stores import counter_store
from coordination.counters.stores.postgresql import PostgresCounters
from coordination.counters.stores.postgresql_states import PostgresCounterStates
from coordination.counters.stores.redis import RedisCounters
from coordination.counters.stores.redis_events import RedisCounterEvents
from coordination.counters.stores.sqlite import SqliteCounters
from coordination.counters.stores.sqlite_events import SqliteCounterEvents
from coordination.exceptions import CoordinationError
from coordination.kernel.settings import RABBITMQ, ZOOKEEPER

logger = logging.getLogger(__name__)


def event_sources() -> list[CounterEventSource]:
    """A source for each configured store that has one. Nothing is connected to yet."""
    sources = (_source(alias) for alias in _aliases())
    return [source for source in sources if source is not None]


def state_readers() -> list[CounterStates]:
    """One for each configured store that has counters. Nothing is connected to yet."""
    return [*event_sources(), *(PostgresCounterStates(store) for store in _postgres())]


def unseen() -> list[str]:
    """Stores whose events are in another database than the records, where nobody reads them."""
    using = conf.current().transactions.using
    return [store.alias for store in _postgres() if store.using != using]


def _aliases() -> list[str]:
    stores = conf.current().stores
    return [alias for alias, settings in stores.items() if settings.backend != RABBITMQ]


def _postgres() -> list[PostgresCounters]:
    found = (_store(alias) for alias in _aliases())
    return [store for store in found if isinstance(store, PostgresCounters)]


def _store(alias: str) -> object:
    try:
        return counter_store(alias)
    except CoordinationError as error:
        # kazoo is not installed here, say: that must not keep the other stores from being read.
        logger.warning("events of counters in %s are not read: %s", alias, error)
        return None


def _source(alias: str) -> CounterEventSource | None:
    store = _store(alias)
    if isinstance(store, RedisCounters):
        return RedisCounterEvents(store.redis)
    if isinstance(store, SqliteCounters):
        return SqliteCounterEvents(store)
    if store is None or conf.current().stores[alias].backend != ZOOKEEPER:
        return None
    # Only now: kazoo is an extra.
    from coordination.counters.stores.zookeeper import ZooKeeperCounters
    from coordination.counters.stores.zookeeper_events import ZooKeeperCounterEvents

    return ZooKeeperCounterEvents(store) if isinstance(store, ZooKeeperCounters) else None
