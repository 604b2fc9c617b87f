"""Counters in SQLite beside processes that hold the file, and what they leave in it."""

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.conf import settings as django_settings
from django.db import connections
from pytest_django import Settings

from coordination import counter
from coordination.counters.stores import sqlite as store
from coordination.exceptions import StoreUnavailable
from tests.counter_stores import LITE, _django_db_helper, sqlite_counters
from tests.integration.ledger import execute

__all__ = ["_django_db_helper", "sqlite_counters"]

DEADLINE_S = 0.4
HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE concord_counter SET value = value + 100")
print("holds", flush=True)
sys.stdin.read()
"""

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _stored(sqlite_counters: str, settings: Settings) -> None:
    configured = django_settings.COORDINATION
    settings.COORDINATION = configured | {"DEFAULT": sqlite_counters, "ROUTES": []}


@pytest.fixture
def hasty(_stored: None, settings: Settings) -> None:
    stores = django_settings.COORDINATION["STORES"]
    mine = stores[LITE] | {"OPTIONS": {"DEADLINE": DEADLINE_S}}
    settings.COORDINATION = django_settings.COORDINATION | {"STORES": stores | {LITE: mine}}


@contextmanager
def held_by_another() -> Iterator[subprocess.Popen[str]]:
    """The file is in the middle of a change of another process."""
    name = str(connections.settings[LITE]["NAME"])
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "holds\n"
    try:
        yield holder
    finally:
        holder.kill()
        holder.communicate()


@pytest.mark.usefixtures("hasty")
def test_a_process_stopped_in_the_middle_of_a_change_is_an_error_within_the_deadline() -> None:
    c = counter("a")
    c.add(1)
    with held_by_another() as holder:
        holder.send_signal(signal.SIGSTOP)
        for call in (lambda: c.add(1), lambda: c.set(5), lambda: c.add_many([1, 2])):
            begun = time.monotonic()
            with pytest.raises(StoreUnavailable, match="locked"):
                call()
            assert time.monotonic() - begun < DEADLINE_S + 0.5
        assert c.get() == 1

    # Killed in the middle of it: nothing of it is left.
    assert c.add(1) == 2


def test_the_projects_own_patience_is_left_as_it_was() -> None:
    c = counter("a")
    c.add(1)

    assert execute(LITE, "PRAGMA busy_timeout") == [(5000,)]


def test_another_process_sees_a_change_at_once() -> None:
    counter("a").add(7, op_id="seven")

    with sqlite3.connect(str(connections.settings[LITE]["NAME"])) as other:
        rows = other.execute("SELECT name, value, version FROM concord_counter").fetchall()
    other.close()
    assert rows == [("a", 7, 1)]


def test_old_answers_and_events_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    c = counter("a")
    c.add_many([(1, f"op-{number}") for number in range(20)])
    c.add(1, op_id="kept")
    execute(LITE, "UPDATE concord_counter_answer SET until_us = 1 WHERE call <> 'kept'")
    monkeypatch.setattr(store, "TIDY_SHARE", 1.0)
    monkeypatch.setattr(store, "EVENTS_KEPT", 5)
    c.add(1)

    assert execute(LITE, "SELECT call FROM concord_counter_answer") == [("kept",)]
    assert [past.version for past in c.history()] == [22, 21, 20, 19, 18]
    assert c.add(1, op_id="kept") == 21


def test_a_call_without_an_op_id_leaves_no_answer_behind() -> None:
    c = counter("a")
    c.add(1)
    c.compare_and_set(5, 6)

    assert execute(LITE, "SELECT count(*) FROM concord_counter_answer") == [(0,)]


def test_a_file_without_the_tables_is_an_error_that_names_the_remedy() -> None:
    execute(LITE, "DROP TABLE concord_counter")

    for call in (counter("a").get, lambda: counter("a").add(1)):
        with pytest.raises(StoreUnavailable, match="migrate"):
            call()
