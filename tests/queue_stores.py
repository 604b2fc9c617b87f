"""The stores of queues under test, by technology: fixtures that give the alias of one."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import connections
from pytest_django import Settings

from coordination.queues import asynchronous

SQLITE = "sqlite"


@pytest.fixture
def redis_queues() -> str:
    """The run's own Redis."""
    return "redis"


@pytest.fixture
def postgresql_queues(_django_db_helper: None) -> str:
    """The test's database; for tests that commit (`django_db(transaction=True)`)."""
    return "database"


@pytest.fixture
def sqlite_queues(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    settings: Settings,
    _django_db_helper: None,
) -> Iterator[str]:
    """A SQLite database of this test's own, which Django may use as well."""
    connections.settings[SQLITE] = connections.settings["default"] | {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": tmp_path / "project.sqlite3",
        "OPTIONS": {},
    }
    store = {"BACKEND": "database", "USING": SQLITE, "OPTIONS": {"DEADLINE": 10}}
    stores = django_settings.COORDINATION["STORES"]
    settings.COORDINATION = django_settings.COORDINATION | {"STORES": stores | {SQLITE: store}}
    made = tmp_path_factory.getbasetemp() / "queues.sqlite3"
    try:
        if not made.exists():
            call_command("migrate", "coordination", database=SQLITE, verbosity=0)
            connections[SQLITE].close()
            shutil.copy(tmp_path / "project.sqlite3", made)
        shutil.copy(made, tmp_path / "project.sqlite3")
        yield SQLITE
    finally:
        # Threads of asyncio's calls keep their connections, to the file of this test.
        asynchronous._threads._executors.pop(SQLITE, None)
        connections[SQLITE].close()
        del connections[SQLITE], connections.settings[SQLITE]


@pytest.fixture
def rabbitmq_queues(rabbitmq_url: str, settings: Settings) -> str:
    """The run's own RabbitMQ, started for the first test that asks."""
    store = {"BACKEND": "rabbitmq", "LOCATION": rabbitmq_url}
    stores = django_settings.COORDINATION["STORES"]
    settings.COORDINATION = django_settings.COORDINATION | {"STORES": stores | {"rabbitmq": store}}
    return "rabbitmq"
