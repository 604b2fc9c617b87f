"""What locks leave in a database, whichever it is: events without a gap, and tokens that rise."""

import pytest
from pytest_django import Settings

from coordination import lock
from coordination.locks.store import LockStore
from coordination.locks.stores.sqlite import SqliteLocks
from coordination.locks.types import Over, Released, Waiting
from tests.contract.locks.asking import asked, have, held, seen
from tests.databases import ALIASES, _django_db_helper
from tests.integration import postgresql_locks, sqlite_locks
from tests.lock_stores import sqlite_locks as sqlite_database

__all__ = ["_django_db_helper", "sqlite_database"]

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)


@pytest.fixture(params=["postgresql", "sqlite"])
def store(request: pytest.FixtureRequest, settings: Settings) -> LockStore:
    if request.param == "postgresql":
        return postgresql_locks.configured(settings, using="default")
    return sqlite_locks.configured(settings, request.getfixturevalue("sqlite_database"))


def events(store: LockStore) -> list[tuple[int, str, dict[str, object]]]:
    """Of the lock `a`, which is the only one."""
    return sqlite_locks.events() if isinstance(store, SqliteLocks) else postgresql_locks.events()


def test_every_change_leaves_an_event_and_none_is_missing(store: LockStore) -> None:
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

    found = events(store)

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


def test_a_call_is_remembered_after_its_lock_was_given_back(store: LockStore) -> None:
    request, gone = asked("a"), asked("b")
    have(store.acquire(request, stay_ms=0))

    assert [store.release(request), store.release(request)] == [Released.RELEASED] * 2
    assert store.acquire(request, stay_ms=5_000) == Over()
    store.acquire(asked("b"), stay_ms=0)
    assert isinstance(store.acquire(gone, stay_ms=5_000), Waiting)
    assert [store.release(gone), store.release(gone)] == [Released.LEFT] * 2
    assert store.acquire(gone, stay_ms=5_000) == Over()


def test_every_lock_that_is_waited_for_is_seen(store: LockStore) -> None:
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


def test_tokens_rise_above_what_they_were_raised_to(store: LockStore) -> None:
    before = have(store.acquire(asked("old"), stay_ms=0)).token
    above = before + 10**12  # as by a clock that was set back eleven days

    store.raise_tokens(above)
    store.raise_tokens(1)

    assert store.highest_token() == above
    token = have(store.acquire(asked("new"), stay_ms=0)).token
    assert token > above
    lock.force_release("new", reason="stuck", actor="operator")
    assert have(store.acquire(asked("new"), stay_ms=0)).token > token + 1
