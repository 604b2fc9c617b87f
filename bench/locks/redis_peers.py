"""Python's other locks in Redis, each with a lease and a check of the owner."""

from functools import partial
from typing import Any

import redis

from bench.addresses import redis_url
from bench.locks.names import (
    DJANGO_REDIS,
    POTTERY,
    REDIS_LOCK,
    REDIS_PY,
    REDIS_PY_1MS,
    SHERLOCK,
)
from bench.locks.ways import LEASE_S, PATIENCE_S, Hold, Way


def _client() -> redis.Redis:
    return redis.Redis.from_url(redis_url())


def _redis_py(sleep_s: float) -> Hold:
    return partial(_client().lock, timeout=LEASE_S, sleep=sleep_s)


def _redis_lock() -> Hold:
    from redis_lock import Lock

    return partial(Lock, _client(), expire=LEASE_S)


def _sherlock() -> Hold:
    from sherlock import RedisLock

    return partial(RedisLock, client=_client(), expire=LEASE_S, timeout=PATIENCE_S)


def _django_redis() -> Hold:
    from django.core.cache import cache

    store: Any = cache  # its `lock` is django-redis's own
    return partial(store.lock, timeout=LEASE_S)


def _pottery() -> Hold:
    from pottery import Redlock

    client = _client()
    return lambda name: Redlock(key=name, masters={client}, auto_release_time=LEASE_S)


WITHOUT_THREADS = (
    Way(name=REDIS_PY, make=partial(_redis_py, 0.1)),
    Way(name=REDIS_PY_1MS, make=partial(_redis_py, 0.001)),
    Way(name=REDIS_LOCK, make=_redis_lock),
    Way(name=SHERLOCK, make=_sherlock),
    Way(name=DJANGO_REDIS, make=_django_redis),
)
POTTERY_WAY = Way(name=POTTERY, make=_pottery)
