"""Locks in Redis that are handed over: what the one who had waited may rely on."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from coordination import lock
from coordination.connections.redis import Begun, Script
from coordination.exceptions import LockLost, OutcomeUnknown, StoreUnavailable
from coordination.locks.grant import Grant
from coordination.locks.stores import lock_store
from coordination.locks.taken import Asked
from coordination.locks.types import Waiting
from coordination.locks.waiting import take
from tests.contract.locks.asking import asked, held, pass_time, until
from tests.integration.own_redis import OwnRedis, own_redis
from tests.integration.redis_locks import DEADLINE_S, events, own

__all__ = ["own", "own_redis"]


def waits_for(name: str, pool: ThreadPoolExecutor) -> Future[Grant | None]:
    """Somebody else who asks for it and waits."""
    asking = pool.submit(lock(name, owner="second", ttl=30).acquire, wait=10)
    until(lambda: len(lock(name).info().waiters) == 1)
    return asking


def test_who_was_handed_it_has_a_whole_lease_although_nobody_waited_for_it(own: OwnRedis) -> None:
    first = held(lock("a", renew=False).acquire())
    with ThreadPoolExecutor() as pool:
        asking = waits_for("a", pool)
        first.release()
        second = held(asking.result())

        assert second.token == lock("a").info().token
        until(lambda: lock("a").info().ttl_left > 25)
        until(lambda: (second.expires_at - second.acquired_at).total_seconds() > 25)
        second.release()
    assert [event.what for _, event in events(own)][-3:] == [
        "lock.handed",
        "lock.granted",
        "lock.released",
    ]


def test_a_claim_that_was_heard_counts_although_no_thread_read_the_answer(own: OwnRedis) -> None:
    """As where a body holds the interpreter, so that no other thread runs."""
    listening()
    first = held(lock("a", renew=False).acquire())
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(bare_wait, "a")
        until(lambda: len(lock("a").info().waiters) == 1)
        first.release()
        second = held(asking.result())
        until(lambda: time.monotonic() > second.trusted_until)

        second.ensure_held()
        second.release()


def listening() -> None:
    """Who waits from now on hears of a hand-over without having to ask for it first."""
    with lock_store("redis").bell(asked("somewhat")) as bell:
        until(lambda: bell.wait(1))


def bare_wait(name: str) -> Grant:
    """Wait for it as one whose lease is renewed, which nobody does here."""
    request, store = asked(name, ttl_ms=30_000), lock_store("redis")
    taken = take(store, request, wait_s=10, renewed=True)
    assert taken is not None
    assert taken.claim is not None
    return Grant(request, taken, store=store, waited=0, max_hold_ms=None, renewals=None)


def test_a_claim_that_redis_did_not_understand_is_renewed_in_time(own: OwnRedis) -> None:
    first = held(lock("a", renew=False).acquire())
    with ThreadPoolExecutor() as pool:
        asking = waits_for("a", pool)
        own.client().script_flush()
        first.release()
        second = held(asking.result())

        until(lambda: lock("a").info().ttl_left > 25)
        second.ensure_held()
        second.release()


def test_a_hand_over_that_was_taken_away_at_once_is_lost(own: OwnRedis) -> None:
    listening()
    request, store = asked("a"), lock_store("redis")
    first = held(lock("a", renew=False).acquire())
    with store.bell(request) as bell:
        sent_at = time.monotonic()
        answer = store.acquire(request, stay_ms=5_000)
        assert isinstance(answer, Waiting)
        first.release()
        until(lambda: bell.wait(1))
        lock.force_release("a", reason="test", actor="operator")
        taken = bell.claim(Asked(answer, sent_at))
    assert taken is not None

    late = Grant(request, taken, store=store, waited=0, max_hold_ms=None, renewals=None)

    with pytest.raises(LockLost):
        late.renew()
    assert late.token < held(lock("a", renew=False).acquire()).token


def test_a_server_that_freezes_while_one_waits_keeps_him_no_longer_than_he_would_wait(
    own: OwnRedis,
) -> None:
    first = held(lock("a", renew=False).acquire())
    one = lock("a")
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(one.acquire, wait=0.5)
        until(lambda: len(lock("a").info().waiters) == 1)
        own.freeze()
        try:
            begun = time.monotonic()
            with pytest.raises((OutcomeUnknown, StoreUnavailable)):
                asking.result()
            assert time.monotonic() - begun < 0.5 + DEADLINE_S + 0.5
        finally:
            own.thaw()
    first.release()


def test_names_that_nobody_waits_for_any_more_leave_nothing_behind(own: OwnRedis) -> None:
    store = lock_store("redis")
    for name in ("a", "b", "c"):
        first = held(lock(name, renew=False).acquire())
        waiter = asked(name)
        store.acquire(waiter, stay_ms=5_000)
        first.release()
        store.release(waiter)

    assert own.client().keys("*:contended") == []


def test_a_pause_while_a_claim_is_sent_makes_no_lease_longer(
    own: OwnRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening()
    first = held(lock("a", renew=False).acquire())
    begin = Script.begin

    def slow(*args: Any, **given: Any) -> Begun:
        begun = begin(*args, **given)
        pass_time(0.4)
        return begun

    monkeypatch.setattr(Script, "begin", slow)
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(bare_wait, "a")
        until(lambda: len(lock("a").info().waiters) == 1)
        first.release()
        second = held(asking.result())
    until(lambda: second.hear(patience_s=0.1))

    trusted_s = second.trusted_until - time.monotonic()
    assert trusted_s < lock("a").info().ttl_left
    second.release()
