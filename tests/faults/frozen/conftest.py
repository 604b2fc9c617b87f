"""Stores of locks under the alias `own` that a test can stop from answering, by technology."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings

from config.servers import Servers
from coordination import registry
from coordination.connections import deadlines
from coordination.locks.stores import lock_store
from coordination.locks.stores.sqlite import SqliteLocks
from tests.contract.locks.asking import until
from tests.integration import postgresql_locks, zookeeper_store
from tests.integration.contenders import child
from tests.integration.own_redis import OwnRedis, own_redis
from tests.integration.own_zookeeper import OwnZooKeeper, own_zookeeper
from tests.integration.test_sqlite_locks import in_the_middle
from tests.integration.zookeeper_store import root
from tests.lock_stores import SQLITE, sqlite_locks

__all__ = ["own_redis", "own_zookeeper", "root", "sqlite_locks"]

DEADLINE_S = 0.5
Freeze = Callable[[], AbstractContextManager[None]]


def configure(settings: Settings, alias: str, **store: Any) -> None:
    options = {"DEADLINE": DEADLINE_S, **store.pop("OPTIONS", {})}
    stores = django_settings.COORDINATION["STORES"] | {alias: store | {"OPTIONS": options}}
    settings.COORDINATION = django_settings.COORDINATION | {
        "STORES": stores,
        "DEFAULT": alias,
        "CONTINUATIONS": ["test.*"],
    }


@pytest.fixture
def redis(own_redis: OwnRedis, settings: Settings) -> Freeze:
    configure(settings, "own", BACKEND="redis", LOCATION=own_redis.url)

    @contextmanager
    def freeze() -> Iterator[None]:
        own_redis.freeze()
        try:
            yield
        finally:
            own_redis.thaw()

    return freeze


@pytest.fixture
def zookeeper(own_zookeeper: OwnZooKeeper, root: str, settings: Settings) -> Iterator[Freeze]:
    location = f"{own_zookeeper.hosts}{root}"
    options = {"CONNECT": DEADLINE_S, "SESSION": 2.0}
    configure(settings, "own", BACKEND="zookeeper", LOCATION=location, OPTIONS=options)
    yield partial(zookeeper_store.frozen, own_zookeeper)
    registry.zookeeper_store("own").close()


@pytest.fixture
def postgresql(servers: Servers, settings: Settings) -> Freeze:
    configure(settings, "own", BACKEND="database", USING="default")
    return partial(postgresql_locks.frozen, servers)


@pytest.fixture
def sqlite(sqlite_locks: str, settings: Settings, tmp_path: Path) -> Freeze:
    configure(settings, "own", BACKEND="database", USING=SQLITE)
    begun = tmp_path / "begun"

    @contextmanager
    def freeze() -> Iterator[None]:
        store = lock_store("own")
        assert isinstance(store, SqliteLocks)
        with child(in_the_middle(store, lambda: (begun.touch(), signal.pause()))):
            until(begun.exists)
            yield

    return freeze


@pytest.fixture(params=["redis", "zookeeper", "postgresql", "sqlite"])
def technology(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def freeze(
    technology: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Freeze:
    """Stops the store from answering for the length of a block."""
    monkeypatch.setattr(deadlines, "STATEMENT_MS", int(DEADLINE_S * 1000))
    freeze: Freeze = request.getfixturevalue(technology)
    lock_store("own").highest_token()  # connected
    return freeze
