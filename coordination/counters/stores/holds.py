"""Which holds the counters of an alias have."""

from functools import cache

from django.core.signals import setting_changed

from coordination.counters.holding import CounterHolds
from coordination.counters.stores import counter_store
from coordination.counters.stores.redis import RedisCounters
from coordination.counters.stores.redis_holds import RedisCounterHolds
from coordination.counters.stores.sqlite import SqliteCounters
from coordination.counters.stores.sqlite_holds import SqliteCounterHolds


@cache
def counter_holds(alias: str) -> CounterHolds | None:
    """Nothing is sent. None: an addition is part of what the store's database prepares."""
    store = counter_store(alias)
    if isinstance(store, RedisCounters):
        return RedisCounterHolds(store)
    if isinstance(store, SqliteCounters):
        return SqliteCounterHolds(store)
    from coordination.counters.stores.postgresql import PostgresCounters

    if isinstance(store, PostgresCounters):
        return None
    # kazoo is an extra, which is there now.
    from coordination.counters.stores.zookeeper import ZooKeeperCounters
    from coordination.counters.stores.zookeeper_holds import ZooKeeperCounterHolds

    assert isinstance(store, ZooKeeperCounters)
    return ZooKeeperCounterHolds(store)


def _forget(*, setting: str, **_: object) -> None:
    if setting == "COORDINATION":
        counter_holds.cache_clear()


setting_changed.connect(_forget, dispatch_uid="coordination.counters.holds")
