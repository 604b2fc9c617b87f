"""Locks in Redis when the server or the process fails, and what their history says."""

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from pytest_django import Settings

from coordination import lock
from coordination.connections.redis import RedisStore
from coordination.exceptions import (
    LockLost,
    NotOwner,
    NotSupportedByStore,
    OutcomeUnknown,
    StoreUnavailable,
)
from coordination.locks.api import Lock
from coordination.locks.grant import Grant
from coordination.locks.stores import lock_store
from coordination.locks.stores.redis import RedisLocks
from tests.contract.locks.asking import asked, have, held, until
from tests.integration.own_redis import CuttingProxy, OwnRedis, own_redis
from tests.integration.redis_locks import DEADLINE_S, events, own

__all__ = ["own", "own_redis"]


@contextmanager
def within_the_deadline() -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < DEADLINE_S + 0.5


def test_every_change_leaves_an_event_and_none_is_missing(own: OwnRedis) -> None:
    first, second = lock("a", owner="first"), lock("a", owner="second")
    held(first.acquire())
    store = lock_store("redis")
    waiter = asked("a")
    store.acquire(waiter, stay_ms=5_000)
    first.renew()
    first.release()
    have(store.acquire(waiter, stay_ms=5_000))
    lock.force_release("a", reason="test", actor="operator")
    with second:
        pass

    found = events(own)

    stamps = [stamp for stamp, _ in found]
    assert stamps == sorted(set(stamps))
    assert [(event.what, event.resource.name) for _, event in found] == [
        (f"lock.{kind}", "a")
        for kind in (
            *("granted", "waiting", "renewed", "released", "handed", "granted", "forced"),
            *("granted", "released"),
        )
    ]
    tokens = [event.token for _, event in found if event.what == "lock.granted"]
    assert tokens == sorted(set(tokens))
    assert found[6][1].data["reason"] == "test"


def test_a_refused_release_and_an_expired_lease_are_told(own: OwnRedis) -> None:
    late = held(lock("a", ttl=0.05, renew=False).acquire())
    until(lambda: lock("a").info().holders == ())
    with pytest.raises(LockLost):
        late.renew()
    lock_store("redis").release(late.request)

    kinds = [event.what for _, event in events(own)]
    assert kinds == ["lock.granted", "lock.expired", "lock.release_refused"]


def test_a_grant_whose_reply_was_lost_is_found_again(own: OwnRedis) -> None:
    request = asked("a")
    # Or the reply that is lost would be that the server does not know the script.
    held(lock("a").acquire()).release()
    with CuttingProxy(own.port, cut_after=0) as proxy:
        cut = RedisLocks(RedisStore("cut", proxy.url), node="test")
        with pytest.raises(OutcomeUnknown):
            cut.acquire(request, stay_ms=0)

    assert [each.id for each in lock("a").info().holders] == [request.id]
    again = have(lock_store("redis").acquire(request, stay_ms=0))

    assert again.token == lock("a").info().token
    assert [event.what for _, event in events(own)].count("lock.granted") == 2


@pytest.mark.parametrize("verb", ["acquire", "release", "renew", "info", "force_release"])
def test_a_frozen_server_is_an_error_within_the_deadline(own: OwnRedis, verb: str) -> None:
    one = lock("a", renew=False)
    if verb in ("release", "renew"):
        held(one.acquire())
    calls = {
        "force_release": lambda: lock.force_release("a", reason="stuck", actor="operator"),
        **{each: getattr(one, each) for each in ("acquire", "release", "renew", "info")},
    }
    own.freeze()
    try:
        with within_the_deadline(), pytest.raises((OutcomeUnknown, StoreUnavailable)):
            calls[verb]()
    finally:
        own.thaw()


def test_a_release_that_got_no_answer_may_be_repeated(own: OwnRedis) -> None:
    grant = held(lock("a").acquire())
    own.freeze()
    with pytest.raises(OutcomeUnknown):
        grant.release()
    own.thaw()

    grant.release()

    assert lock("a").info().holders == ()


def test_a_server_that_dies_while_one_waits_is_an_error(own: OwnRedis) -> None:
    holder = held(lock("a", renew=False).acquire())
    with ThreadPoolExecutor(1) as thread:
        waiter = thread.submit(lock("a", wait=10).acquire)
        until(lambda: len(lock("a").info().waiters) == 1)
        own.kill()
        try:
            # It is woken by the end of its connection, and not by its next look.
            with within_the_deadline(), pytest.raises((OutcomeUnknown, StoreUnavailable)):
                waiter.result(10)
        finally:
            own.start()
    assert holder.lost is None


def test_one_lease_that_cannot_be_renewed_does_not_lose_the_others(own: OwnRedis) -> None:
    grant, spoilt = held(lock("a", ttl=0.6).acquire()), held(lock("b", ttl=0.6).acquire())
    (key,) = own.client().keys("*:held:lock:b")
    own.client().delete(key)
    own.client().set(key, "no hash")

    until(lambda: spoilt.lost is not None)
    first_end = grant.expires_at
    until(lambda: grant.expires_at > first_end)
    assert grant.lost is None
    grant.release()


def test_tokens_rise_in_one_microsecond_and_when_the_clock_was_set_back(own: OwnRedis) -> None:
    """The stream's last id stands for what was given before."""
    before = held(lock("a").acquire())
    before.release()
    ahead = before.token + 3_600_000_000
    lock_store("redis").raise_tokens(ahead)

    tokens = []
    for _ in range(3):
        with lock("a") as grant:
            tokens.append(grant.token)

    # The second event of each is its release.
    assert tokens == [ahead + 1, ahead + 3, ahead + 5]
    assert lock_store("redis").highest_token() == ahead + 6
    assert lock("a").info().at < before.expires_at


@pytest.fixture
def durable(tmp_path: Path, settings: Settings) -> Iterator[OwnRedis]:
    """A Redis that writes every command to its disk, as the store of locks."""
    server = OwnRedis(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    settings.COORDINATION = {
        "NODE": "test",
        "STORES": {"redis": {"BACKEND": "redis", "LOCATION": server.url}},
    }
    try:
        yield server
    finally:
        server.kill()


def test_a_lock_is_still_held_after_a_restart(durable: OwnRedis) -> None:
    one = lock("a", ttl=30)
    grant = held(one.acquire())
    waiter = asked("a")
    lock_store("redis").acquire(waiter, stay_ms=60_000)
    durable.kill()
    durable.start()

    grant.renew()
    assert (one.info().token, len(one.info().waiters)) == (grant.token, 1)
    grant.release()
    assert have(lock_store("redis").acquire(waiter, stay_ms=60_000)).token > grant.token


def test_tokens_rise_when_redis_was_set_back_to_an_older_file(
    durable: OwnRedis, tmp_path: Path
) -> None:
    """As by a backup, or by a replica that had not heard of the last writes."""
    held(lock("a").acquire()).release()
    older = tmp_path / "older"
    shutil.copytree(tmp_path / "appendonlydir", older)
    late = held(lock("a", renew=False).acquire())
    durable.kill()
    shutil.rmtree(tmp_path / "appendonlydir")
    shutil.copytree(older, tmp_path / "appendonlydir")
    durable.start()

    newer = held(lock("a").acquire())

    assert newer.token > late.token  # so what the former holder still writes is refused
    with pytest.raises(NotOwner):
        late.release()
    assert lock("a").info().token == newer.token


def test_tokens_rise_even_if_redis_forgot_everything(own: OwnRedis) -> None:
    before = held(lock("a", renew=False).acquire()).token
    own.kill()
    own.start()

    assert held(lock("a").acquire()).token > before


def test_a_holder_learns_that_redis_forgot_its_lock(own: OwnRedis) -> None:
    grant = held(lock("a", ttl=0.6).acquire())
    own.client().flushall()

    assert until(lambda: grant.lost is not None) < 0.6


def test_leases_are_renewed_over_a_short_outage(own: OwnRedis) -> None:
    grant = held(lock("a", ttl=2).acquire())
    first_end = grant.expires_at
    own.freeze()
    until(lambda: time.monotonic() > grant.trusted_until - 1)
    own.thaw()

    until(lambda: grant.expires_at > first_end)
    assert grant.lost is None
    grant.release()


def test_a_server_that_forgot_the_scripts_is_told_them_again(own: OwnRedis) -> None:
    grants = [held(lock(f"a{number}").acquire()) for number in range(3)]
    own.client().script_flush()

    renewed = lock_store("redis").renew([grant.request for grant in grants])

    assert [each is not None for each in renewed] == [True] * 3


def test_a_forked_child_does_not_hold_what_its_parent_holds(own: OwnRedis) -> None:
    one = lock("a", ttl=0.6)
    grant = held(one.acquire())

    def child(held_by_parent: Grant, contender: Lock) -> bool:
        try:
            held_by_parent.release()
        except NotOwner:
            return held_by_parent.lost is not None and contender.acquire(wait=0) is None
        return False

    pid = os.fork()
    if pid == 0:
        os._exit(0 if child(grant, lock("a")) else 1)
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert grant.lost is None
    renewed_until = grant.expires_at
    until(lambda: grant.expires_at > renewed_until)
    grant.release()


def test_many_names_leave_nothing_behind_but_events(own: OwnRedis) -> None:
    for _ in range(50):
        with lock(f"n:{secrets.token_hex(4)}"):
            pass

    keys = own.client().keys("*")
    left = {"answer" if ":answer:" in key else key.rsplit(":", 1)[-1] for key in keys}
    assert left == {"events", "answer"}
    assert all(own.client().pttl(key) > 0 for key in keys if ":answer:" in key)


def test_a_store_without_locks_says_so_before_anything_is_sent(settings: Settings) -> None:
    broker = {"BACKEND": "rabbitmq", "LOCATION": "amqp://nowhere.invalid"}
    settings.COORDINATION = {
        "STORES": {"database": {"BACKEND": "database"}, "broker": broker},
        "DEFAULT": "database",
    }
    with pytest.raises(NotSupportedByStore, match="'rabbitmq'"):
        lock("a", using="broker")
