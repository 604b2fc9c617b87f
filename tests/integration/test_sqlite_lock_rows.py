"""What locks leave beside SQLite: no rows for ever. What databases share is in another file."""

import sqlite3
from dataclasses import replace

import pytest

from coordination.locks.stores.sqlite import SqliteLocks
from tests.contract.locks.asking import asked, have, pass_time, until
from tests.integration.sqlite_locks import look, sidecar, store
from tests.lock_stores import sqlite_locks

__all__ = ["sqlite_locks", "store"]

pytestmark = pytest.mark.usefixtures("store")


def test_names_out_of_use_leave_nothing_behind_but_events(store: SqliteLocks) -> None:
    for number in range(10):
        request = replace(asked(f"n{number}", ttl_ms=20), kept_ms=1)
        have(store.acquire(request, stay_ms=0))
        if number % 2:  # the others' holders never come back
            store.release(request)
    pass_time(0.05)
    with sqlite3.connect(sidecar()) as connection:
        connection.execute("UPDATE claim SET until_us = 1")
    connection.close()

    def worked() -> bool:
        request = replace(asked("a"), kept_ms=1)
        store.acquire(request, stay_ms=0)
        store.release(request)
        return look("SELECT count(*) FROM claim") == [(0,)]

    until(worked, within_s=30)
    assert store.contended() == []
