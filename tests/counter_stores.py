"""The stores of counters under test, by technology: fixtures that give the alias of one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import connections
from pytest_django import DjangoDbBlocker, Settings

LITE = "lite_counters"
TABLES = ("concord_counter", "concord_counter_answer")


@pytest.fixture
def _django_db_helper(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Instead of pytest-django's, which truncates every table and forbids aliases made here."""
    with django_db_blocker.unblock():
        yield
        with connections["default"].cursor() as cursor:
            for rows in (*TABLES, "concord_event WHERE object = 'counter'"):
                cursor.execute(f"DELETE FROM {rows}")


@pytest.fixture
def redis_counters() -> str:
    return "redis"


@pytest.fixture
def database_counters(transactional_db: None) -> str:
    """PostgreSQL; tests commit."""
    return "database"


@pytest.fixture
def zookeeper_counters(zookeeper_store: str) -> str:
    return zookeeper_store


@pytest.fixture
def sqlite_counters(tmp_path: Path, settings: Settings) -> Iterator[str]:
    """A SQLite database of this test's own."""
    entry = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(tmp_path / "project.sqlite3"),
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"},
    }
    whole = connections.configure_settings({"default": entry, LITE: dict(entry)})
    connections.settings[LITE] = whole[LITE]
    store = {"BACKEND": "database", "USING": LITE, "OPTIONS": {"DEADLINE": 10}}
    stores = django_settings.COORDINATION["STORES"]
    settings.COORDINATION = django_settings.COORDINATION | {"STORES": stores | {LITE: store}}
    try:
        call_command("migrate", "coordination", database=LITE, verbosity=0)
        yield LITE
    finally:
        connections[LITE].close()
        del connections[LITE], connections.settings[LITE]
