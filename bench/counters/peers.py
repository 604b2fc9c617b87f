"""Other ways to count from Python: redis-py, kazoo, Django's ORM."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import redis
from django.db import models

from bench.addresses import redis_url, zookeeper_hosts
from bench.counters import names
from bench.counters.ways import MANY, Way

# What a counter with events does at the least: one script, one round trip.
_INCR_EVENT = """
local value = redis.call('INCRBY', KEYS[1], ARGV[1])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', '10000', '*', 'e', value)
return value"""


class Row(models.Model):
    """A counter as Django's documentation has it."""

    name = models.CharField(max_length=200, primary_key=True)
    value = models.BigIntegerField(default=0)

    class Meta:
        app_label = "bench"
        db_table = "bench_counter"

    def __str__(self) -> str:
        return self.name


def _client() -> redis.Redis:
    return redis.Redis.from_url(redis_url())


def _incr(name: str) -> Callable[[], None]:
    return partial(_client().incr, name)


def _incr_pipelined(name: str) -> Callable[[], None]:
    client = _client()

    def operation() -> None:
        pipeline = client.pipeline(transaction=False)
        for _ in range(MANY):
            pipeline.incr(name)
        pipeline.execute()

    return operation


def _incr_event(name: str) -> Callable[[], None]:
    client = _client()
    sha = client.script_load(_INCR_EVENT)
    return partial(client.evalsha, sha, 2, name, "bench:events", 1)


def _watch(name: str) -> Callable[[], None]:
    client = _client()

    def operation() -> None:
        with client.pipeline() as pipeline:
            while True:
                try:
                    pipeline.watch(name)
                    value = int(pipeline.get(name) or 0)
                    pipeline.multi()
                    pipeline.set(name, value + 1)
                    pipeline.execute()
                except redis.WatchError:
                    continue
                return

    return operation


def _redis_value(name: str) -> int:
    return int(_client().get(name) or 0)


@cache
def _kazoo_client() -> Any:
    from kazoo.client import KazooClient

    client: Any = KazooClient(zookeeper_hosts())
    client.start()
    return client


def _kazoo(name: str) -> Callable[[], None]:
    own = _kazoo_client().Counter(f"/bench/{name}")

    def operation() -> None:
        nonlocal own
        own += 1  # the same object again

    return operation


def _kazoo_value(name: str) -> int:
    value: int = _kazoo_client().Counter(f"/bench/{name}").value
    return value


def _orm(name: str, *, using: str) -> Callable[[], None]:
    rows = Row.objects.using(using)
    rows.bulk_create([Row(name=name)], ignore_conflicts=True)

    def operation() -> None:
        if rows.filter(name=name).update(value=models.F("value") + 1) != 1:
            raise RuntimeError("there is no such row")

    return operation


def _orm_value(name: str, *, using: str) -> int:
    return Row.objects.using(using).get(name=name).value


def _with_orm(name: str, using: str) -> Way:
    return Way(name=name, make=partial(_orm, using=using), value=partial(_orm_value, using=using))


ON_REDIS = (
    Way(name=names.INCR, make=_incr, value=_redis_value),
    Way(name=names.INCR_PIPELINED, make=_incr_pipelined, value=_redis_value, each=MANY),
    Way(name=names.INCR_EVENT, make=_incr_event, value=_redis_value),
    Way(name=names.WATCH, make=_watch, value=_redis_value),
)
KAZOO_WAY = Way(name=names.KAZOO, make=_kazoo, value=_kazoo_value, chunk_s=0.1)
ORM_ON_POSTGRESQL = _with_orm(names.ORM_POSTGRESQL, "default")
ORM_ON_SQLITE = _with_orm(names.ORM_SQLITE, "bench_sqlite")
