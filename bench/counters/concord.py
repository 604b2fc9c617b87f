"""Concord's counters by the public API, on every store there is."""

import secrets
from collections.abc import Callable
from functools import partial

from bench.counters import names
from bench.counters.ways import MANY, Way
from coordination import counter


def _add(name: str, *, using: str, shards: int = 1) -> Callable[[], None]:
    own = counter(name, using=using, shards=shards)

    def operation() -> None:
        own.add(1)

    return operation


def _add_op_id(name: str) -> Callable[[], None]:
    own = counter(name, using="redis")

    def operation() -> None:
        own.add(1, op_id=secrets.token_hex(12))

    return operation


def _add_many(name: str, *, using: str) -> Callable[[], None]:
    own, ones = counter(name, using=using), [1] * MANY

    def operation() -> None:
        for each in own.add_many(ones):
            if not isinstance(each, int):
                raise each

    return operation


def _compare_and_set(name: str) -> Callable[[], None]:
    own = counter(name, using="redis")

    def operation() -> None:
        while True:
            value = own.get()
            if own.compare_and_set(value, value + 1):
                return

    return operation


def _value(name: str, *, using: str, shards: int = 1) -> int:
    return counter(name, using=using, shards=shards).get()


def _adding(name: str, using: str, *, shards: int = 1, chunk_s: float = 0.04) -> Way:
    kept = {"using": using, "shards": shards}
    return Way(
        name=name, make=partial(_add, **kept), value=partial(_value, **kept), chunk_s=chunk_s
    )


def _adding_many(name: str, using: str) -> Way:
    return Way(
        name=name,
        make=partial(_add_many, using=using),
        value=partial(_value, using=using),
        each=MANY,
    )


ON_REDIS = (
    _adding(names.ADD, "redis"),
    Way(name=names.ADD_OP_ID, make=_add_op_id, value=partial(_value, using="redis")),
    _adding_many(names.ADD_MANY, "redis"),
    Way(name=names.CAS, make=_compare_and_set, value=partial(_value, using="redis")),
)
ON_POSTGRESQL = (
    _adding(names.ADD_POSTGRESQL, "database"),
    _adding(names.ADD_SHARDS, "database", shards=8),
    _adding_many(names.ADD_MANY_POSTGRESQL, "database"),
)
ON_SQLITE = _adding(names.ADD_SQLITE, "sqlite")
ON_ZOOKEEPER = _adding(names.ADD_ZOOKEEPER, "zookeeper", chunk_s=0.1)
