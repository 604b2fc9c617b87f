"""What locks leave beside SQLite: events without a gap, tokens that rise, and no rows for ever."""

import sqlite3
from dataclasses import replace

import pytest

from coordination import lock
from coordination.locks.stores.sqlite import SqliteLocks
from coordination.locks.types import Over, Released, Waiting
from tests.contract.locks.asking import asked, have, held, pass_time, seen, until
from tests.integration.sqlite_locks import events, look, sidecar, store
from tests.lock_stores import sqlite_locks

__all__ = ["sqlite_locks", "store"]

pytestmark = pytest.mark.usefixtures("store")


def test_every_change_leaves_an_event_and_none_is_missing(store: SqliteLocks) -> None:
    first, waiter = lock("a", owner="first"), asked("a")
    grant = held(first.acquire())
    store.acquire(waiter, stay_ms=5_000)
    first.renew()
    lock.request_revoke("a", reason="deploy", actor="operator")
    first.release()
    have(store.acquire(waiter, stay_ms=5_000))
    lock.force_release("a", reason="test", actor="operator")
    store.release(waiter)
    with lock("a", owner="second"):
        pass

    found = events()

    assert [position for position, _, _ in found] == list(range(1, len(found) + 1))
    assert [kind for _, kind, _ in found] == [
        f"lock.{kind}"
        for kind in (
            *("granted", "waiting", "renewed", "revoke_asked", "released", "handed", "granted"),
            *("forced", "release_refused", "granted", "released"),
        )
    ]
    assert found[0][2]["token"] == grant.token
    assert (found[7][2]["actor"], found[7][2]["reason"]) == ("operator", "test")


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


def test_tokens_rise_above_what_they_were_raised_to(store: SqliteLocks) -> None:
    before = have(store.acquire(asked("old"), stay_ms=0)).token
    above = before + 10**12  # as by a clock that was set back eleven days

    store.raise_tokens(above)
    store.raise_tokens(1)

    assert store.highest_token() == above
    token = have(store.acquire(asked("new"), stay_ms=0)).token
    assert token > above
    lock.force_release("new", reason="stuck", actor="operator")
    assert have(store.acquire(asked("new"), stay_ms=0)).token > token + 1


def test_a_call_is_remembered_after_its_lock_was_given_back(store: SqliteLocks) -> None:
    request, gone = asked("a"), asked("b")
    have(store.acquire(request, stay_ms=0))

    assert [store.release(request), store.release(request)] == [Released.RELEASED] * 2
    assert store.acquire(request, stay_ms=5_000) == Over()
    store.acquire(asked("b"), stay_ms=0)
    assert isinstance(store.acquire(gone, stay_ms=5_000), Waiting)
    assert [store.release(gone), store.release(gone)] == [Released.LEFT] * 2
    assert store.acquire(gone, stay_ms=5_000) == Over()


def test_every_lock_that_is_waited_for_is_seen(store: SqliteLocks) -> None:
    waiters = []
    for name in ("a", "b", "c"):
        store.acquire(asked(name), stay_ms=0)
        if name != "b":
            waiters.append(asked(name))
            store.acquire(waiters[-1], stay_ms=5_000)

    found = store.contended()

    assert [each.name for each in found] == ["a", "c"]
    assert [each.waiters[0].id for each in found] == [each.id for each in waiters]
    assert seen(store, "a").holders == found[0].holders
