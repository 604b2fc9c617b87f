"""Python's locks that need a session with a server: tooz, kazoo, django-pglock.

A kazoo lock is kept and used again, as its documentation has it: a new one looks for its folder.
"""

import secrets
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from bench.addresses import redis_url, zookeeper_hosts
from bench.locks.names import KAZOO, PGLOCK, TOOZ_REDIS, TOOZ_ZOOKEEPER
from bench.locks.ways import Hold, Way


def _tooz(url: Callable[[], str]) -> Hold:
    from tooz import coordination

    coordinator = coordination.get_coordinator(url(), secrets.token_bytes(8).hex().encode())
    coordinator.start(start_heart=True)
    return cache(lambda name: coordinator.get_lock(name.encode()))


def _kazoo() -> Hold:
    from kazoo.client import KazooClient

    client: Any = KazooClient(zookeeper_hosts())
    client.start()
    return cache(lambda name: client.Lock(f"/bench/{name}", "bench"))


def _pglock() -> Hold:
    import pglock

    return partial(pglock.advisory, timeout=None)


TOOZ_REDIS_WAY = Way(name=TOOZ_REDIS, make=partial(_tooz, redis_url))
TOOZ_ZOOKEEPER_WAY = Way(
    name=TOOZ_ZOOKEEPER, make=partial(_tooz, lambda: f"kazoo://{zookeeper_hosts()}"), chunk_s=0.1
)
KAZOO_WAY = Way(name=KAZOO, make=_kazoo, chunk_s=0.1)
PGLOCK_WAY = Way(name=PGLOCK, make=_pglock)
