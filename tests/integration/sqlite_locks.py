"""A store of locks beside a SQLite database of the test's own, and what another process sees."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db import connections
from pytest_django import Settings

from coordination.locks.stores import lock_store
from coordination.locks.stores.sqlite import SqliteLocks
from tests.lock_stores import SQLITE

DEADLINE_S = 0.5


@pytest.fixture
def store(sqlite_locks: str, settings: Settings) -> SqliteLocks:
    return configured(settings, sqlite_locks)


def configured(settings: Settings, alias: str) -> SqliteLocks:
    settings.COORDINATION = django_settings.COORDINATION | {"DEFAULT": alias}
    made = lock_store(alias)
    assert isinstance(made, SqliteLocks)
    return made


@pytest.fixture
def hasty(store: SqliteLocks, settings: Settings) -> SqliteLocks:
    """The same with a short deadline, for a file that does not become free."""
    found = django_settings.COORDINATION["STORES"]
    mine = found[SQLITE] | {"OPTIONS": {"DEADLINE": DEADLINE_S}}
    settings.COORDINATION = django_settings.COORDINATION | {"STORES": found | {SQLITE: mine}}
    made = lock_store(SQLITE)
    assert isinstance(made, SqliteLocks)
    return made


@contextmanager
def within_the_deadline() -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < DEADLINE_S + 0.5


def sidecar() -> Path:
    return Path(f"{connections.settings[SQLITE]['NAME']}-locks")


def look(sql: str) -> list[tuple[object, ...]]:
    """What another process sees in the file."""
    with sqlite3.connect(sidecar(), timeout=5) as connection:
        rows = connection.execute(sql).fetchall()
    connection.close()
    return rows


def events() -> list[tuple[int, str, dict[str, object]]]:
    rows = look("SELECT position, kind, data FROM event ORDER BY position")
    return [(int(str(row[0])), str(row[1]), json.loads(str(row[2]))) for row in rows]
