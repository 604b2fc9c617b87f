"""The stores of locks under test, by technology: fixtures that give the alias of one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db import connections
from pytest_django import Settings

SQLITE = "sqlite"


@pytest.fixture
def redis_locks() -> str:
    """The run's own Redis."""
    return "redis"


@pytest.fixture
def postgresql_locks(_django_db_helper: None) -> str:
    """The test's database; for tests that commit (`django_db(transaction=True)`)."""
    return "database"


@pytest.fixture
def sqlite_locks(tmp_path: Path, settings: Settings) -> Iterator[str]:
    """A SQLite database of this test's own, which Django may use as well."""
    connections.settings[SQLITE] = connections.settings["default"] | {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": tmp_path / "project.sqlite3",
        "OPTIONS": {},
    }
    store = {"BACKEND": "database", "USING": SQLITE, "OPTIONS": {"DEADLINE": 10}}
    stores = django_settings.COORDINATION["STORES"]
    settings.COORDINATION = django_settings.COORDINATION | {"STORES": stores | {SQLITE: store}}
    try:
        yield SQLITE
    finally:
        connections[SQLITE].close()
        del connections[SQLITE], connections.settings[SQLITE]


@pytest.fixture
def zookeeper_locks(zookeeper_store: str) -> str:
    """The run's own ZooKeeper, started for the first test that asks."""
    return zookeeper_store
