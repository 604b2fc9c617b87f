"""Locks in PostgreSQL when the server, the connection or the process fails."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connections, transaction
from pytest_django import Settings

from config.servers import Servers
from coordination import checks, lock
from coordination.connections import postgresql_pool
from coordination.exceptions import (
    InvalidArgument,
    NotOwner,
    NotSupportedByStore,
    OutcomeUnknown,
    StoreUnavailable,
)
from coordination.locks.stores import lock_store
from coordination.locks.stores.postgresql import PostgresLocks
from coordination.locks.types import Held
from tests.contract.locks.asking import asked, have, held, pass_time, seen, until
from tests.databases import ALIASES, _django_db_helper
from tests.integration.contenders import all_served, child, holding, kill, waiting
from tests.integration.forked_child import fork, succeeded
from tests.integration.ledger import execute
from tests.integration.postgresql_locks import (
    OURS,
    STORE,
    configured,
    events,
    frozen,
    hasty,
    proxy,
    store,
    within_the_deadline,
)
from tests.integration.postgresql_proxy import PostgresProxy

__all__ = ["_django_db_helper", "hasty", "proxy", "store"]

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=ALIASES),
    pytest.mark.usefixtures("store"),
]


# Beside the caller's transaction


def test_a_rollback_does_not_take_back_a_grant(store: PostgresLocks) -> None:
    grants = []
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        grants.append(held(lock("a").acquire()))
        _ = 1 / 0

    assert seen(store, "a").token == grants[0].token
    grants[0].release()


def test_nobody_waits_for_the_transaction_that_a_lock_was_taken_in() -> None:
    with transaction.atomic():
        grant = held(lock("a").acquire())
        with ThreadPoolExecutor(1) as other:
            assert other.submit(lock("a").acquire, wait=0).result(10) is None
        grant.release()


def test_a_lock_inside_a_transaction_that_failed_can_be_given_back() -> None:
    grant = held(lock("a").acquire())
    with transaction.atomic():
        with pytest.raises(Exception, match="division by zero"):
            execute("default", "SELECT 1 / 0")
        grant.release()
        transaction.set_rollback(True)


# The server


def test_locks_and_tokens_outlive_a_restart(servers: Servers, store: PostgresLocks) -> None:
    grant = held(lock("a", ttl=30).acquire())
    servers.restart("postgresql")
    connections.close_all()

    assert seen(store, "a").token == grant.token
    grant.renew()
    grant.release()
    assert held(lock("a").acquire()).token > grant.token


def test_a_waiter_outlives_a_restart(servers: Servers, settings: Settings) -> None:
    configured(settings, using="default")
    holder = held(lock("a", renew=False).acquire())
    with ThreadPoolExecutor(1) as thread:
        waiter = thread.submit(outlasting, lock("a", wait=20).acquire)
        until(lambda: len(lock("a").info().waiters) == 1)
        servers.restart("postgresql")
        connections.close_all()
        outlasting(holder.release)

        held(waiter.result(20)).release()


def outlasting(call: Callable[[], object]) -> object:
    """`call`, again as long as the server is away."""
    while True:
        try:
            return call()
        except (StoreUnavailable, OutcomeUnknown):
            pass_time(0.05)


VERBS: dict[str, Callable[[PostgresLocks], object]] = {
    "acquire": lambda store: store.acquire(asked("a"), stay_ms=5_000),
    "release": lambda store: store.release(asked("a")),
    "renew": lambda store: store.renew([asked("a")]),
    "force_release": lambda store: lock.force_release("a", reason="stuck", actor="operator"),
    "request_revoke": lambda store: lock.request_revoke("a", reason="deploy"),
    "info": lambda store: lock("a").info(),
    "contended": lambda store: store.contended(),
    "highest_token": lambda store: store.highest_token(),
    "raise_tokens": lambda store: store.raise_tokens(1),
    "lock.acquire": lambda store: lock("a", renew=False).acquire(),
}


@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.parametrize("verb", VERBS)
def test_a_frozen_server_is_an_error_within_the_deadline(
    servers: Servers, hasty: PostgresLocks, verb: str, connected: bool
) -> None:
    if connected:
        hasty.highest_token()
    else:
        postgresql_pool.drop_all()
    with frozen(servers), within_the_deadline():
        with pytest.raises((OutcomeUnknown, StoreUnavailable)) as told:
            VERBS[verb](hasty)
    if not connected:
        assert told.value.applied is False


def test_a_call_that_was_given_up_is_not_granted_later(
    hasty: PostgresLocks, settings: Settings
) -> None:
    held(lock("a").acquire()).release()
    late = asked("a")
    with transaction.atomic():
        execute("default", "SELECT FROM concord_lock WHERE name = 'a' FOR UPDATE")
        with within_the_deadline(), pytest.raises(OutcomeUnknown):
            hasty.acquire(late, stay_ms=5_000)
        pass_time(0.1)

    store = configured(settings, using="default")
    again = have(store.acquire(asked("a"), stay_ms=0))  # behind the late one, should it still run
    assert seen(store, "a").token == again.token
    assert [kind for _, kind, _ in events()].count("lock.granted") == 2


def test_other_names_do_not_wait_for_one_whose_row_is_locked(store: PostgresLocks) -> None:
    held(lock("a").acquire()).release()
    with transaction.atomic():
        execute("default", "SELECT FROM concord_lock WHERE name = 'a' FOR UPDATE")
        with lock("b"):
            pass


def test_a_database_without_the_tables_is_told_of(settings: Settings) -> None:
    elsewhere = configured(settings, using="bank_a")

    with pytest.raises(StoreUnavailable, match=r"migrate --database=bank_a") as told:
        elsewhere.acquire(asked("a"), stay_ms=0)
    assert told.value.applied is False
    messages = checks.check_servers(None, databases=["bank_a"])
    assert any("concord_event, concord_lock" in message.msg for message in messages)


def test_a_store_named_after_the_migrations_gets_its_tables(settings: Settings) -> None:
    elsewhere = configured(settings, using="bank_a")
    quiet = {"database": "bank_a", "verbosity": 0}
    call_command("migrate", "coordination", "0002", fake=True, **quiet)
    call_command("migrate", "coordination", **quiet)
    try:
        held(lock("a").acquire()).release()
        assert elsewhere.highest_token() > 0
        assert checks.check_servers(None, databases=["bank_a"]) == []
    finally:
        call_command("migrate", "coordination", "0002", **quiet)
        execute("bank_a", "DROP TABLE concord_event")
        call_command("migrate", "coordination", fake=True, **quiet)


def test_an_unknown_database_is_refused_before_anything_is_sent(settings: Settings) -> None:
    with pytest.raises(InvalidArgument, match="Did you mean 'default'"):
        configured(settings, using="defualt")


def test_a_kind_of_database_without_locks_is_refused_before_anything_is_sent(
    settings: Settings,
) -> None:
    connections.settings["other"] = connections.settings["default"] | {
        "ENGINE": "django.db.backends.dummy"
    }
    try:
        with pytest.raises(NotSupportedByStore, match="PostgreSQL or SQLite"):
            configured(settings, using="other")
    finally:
        del connections["other"], connections.settings["other"]


# The connection


def test_a_grant_whose_reply_was_lost_is_found_again(proxy: PostgresProxy) -> None:
    store, request = lock_store(STORE), asked("a")
    store.highest_token()
    proxy.lose_the_next_reply()
    with pytest.raises(OutcomeUnknown):
        store.acquire(request, stay_ms=0)
    assert proxy.lost.is_set()

    again = have(store.acquire(request, stay_ms=0))

    assert again.token == seen(store, "a").token
    assert [kind for _, kind, _ in events()] == ["lock.granted"]


def test_a_release_whose_reply_was_lost_may_be_repeated(proxy: PostgresProxy) -> None:
    grant = held(lock("a", renew=False).acquire())
    proxy.lose_the_next_reply()
    with pytest.raises(OutcomeUnknown):
        grant.release()

    grant.release()

    assert [kind for _, kind, _ in events()] == ["lock.granted", "lock.released"]


def test_a_forced_release_whose_reply_was_lost_spares_the_next_holder(
    proxy: PostgresProxy,
) -> None:
    store, waiter = lock_store(STORE), asked("a")
    grant = held(lock("a", renew=False).acquire())
    store.acquire(waiter, stay_ms=5_000)
    proxy.lose_the_next_reply()

    assert lock.force_release("a", reason="stuck", actor="operator") == [grant.token]
    assert have(store.acquire(waiter, stay_ms=5_000)).token > grant.token


def test_a_waiter_hears_of_the_lock_though_every_connection_was_cut(store: PostgresLocks) -> None:
    holder = held(lock("a", renew=False).acquire())
    with ThreadPoolExecutor(1) as thread:
        waiter = thread.submit(lock("a", wait=20).acquire)
        until(lambda: store._listener.hears)
        for (pid,) in execute("default", OURS, "%"):
            execute("default", "SELECT pg_terminate_backend(%s, 5000)", pid)
        holder.release()

        assert held(waiter.result(20)).waited < 5


def test_what_is_missed_while_the_listener_is_cut_is_looked_for(store: PostgresLocks) -> None:
    holder = held(lock("a", renew=False).acquire())
    with ThreadPoolExecutor(1) as thread:
        waiter = thread.submit(lock("a", wait=20).acquire)
        until(lambda: store._listener.hears)
        ((pid,),) = execute("default", OURS, f"LISTEN {store._listener.channel}")
        execute("default", "SELECT pg_terminate_backend(%s)", pid)
        holder.release()
        begun = time.monotonic()
        grant = held(waiter.result(20))

    assert time.monotonic() - begun < 1  # its next look would be later
    until(lambda: [kind for _, kind, _ in events()].count("lock.granted") == 2)
    grant.release()


def test_behind_a_pool_that_lets_no_notification_through_waiters_look(
    store: PostgresLocks,
) -> None:
    holder = held(lock("a").acquire())
    with ThreadPoolExecutor(1) as thread:
        waiter = thread.submit(lock("a", wait=30).acquire)
        until(lambda: store._listener.hears)
        store._listener._channel = "elsewhere"  # as if each transaction had another session
        until(lambda: not store._listener.hears, within_s=15)
        holder.release()
        freed = time.monotonic()

        held(waiter.result(20)).release()
    assert time.monotonic() - freed < 1.5  # or it would be skipped, as one that died


def test_more_threads_than_connections_wait_for_one(settings: Settings) -> None:
    store = configured(settings, using="default")
    many = 3 * postgresql_pool.OPEN_MAX
    with ThreadPoolExecutor(many) as threads:

        def work(number: int) -> int:
            with lock(f"n{number % 4}", wait=30) as grant:
                return grant.token

        tokens = list(threads.map(work, range(many)))

    assert len(set(tokens)) == many
    assert len(store._pool._idle) <= postgresql_pool.OPEN_MAX


def test_leases_renewed_in_any_order_do_not_lock_each_other_out(settings: Settings) -> None:
    store = configured(settings, using="default")
    requests = [asked(f"n{number}") for number in range(10)]
    for each in requests:
        have(store.acquire(each, stay_ms=0))

    def renew(order: list[int]) -> bool:
        chosen = [requests[number] for number in order]
        return all(isinstance(answer, Held) for _ in range(20) for answer in store.renew(chosen))

    with ThreadPoolExecutor(4) as threads:
        orders = [list(range(10)), list(range(9, -1, -1))] * 2
        assert all(threads.map(renew, orders))


# The process


def test_a_forked_child_does_not_hold_what_its_parent_holds(settings: Settings) -> None:
    store = configured(settings, using="default")
    one = lock("a", ttl=2)
    grant = held(one.acquire())

    def in_child() -> bool:
        try:
            grant.release()
        except NotOwner:
            with lock("of-the-child"):
                return grant.lost is not None and lock("a").acquire(wait=0) is None
        return False

    pid = fork(in_child)
    assert store.highest_token() >= grant.token  # the parent's connections are its own
    assert succeeded(pid)
    assert grant.lost is None
    grant.renew()
    grant.release()


def test_a_killed_holder_is_waited_for_no_longer_than_its_lease() -> None:
    with child(holding(STORE, "a", ttl=1)) as pid:
        until(lambda: lock("a").info().holders != ())
        kill(pid)
        assert held(lock("a", wait=10).acquire()).waited < 1 + 2


def test_a_killed_waiter_is_skipped(store: PostgresLocks) -> None:
    holder = held(lock("a").acquire())
    with child(waiting(STORE, "a")) as pid:
        until(lambda: len(lock("a").info().waiters) == 1)
        kill(pid)
        with ThreadPoolExecutor(1) as thread:
            alive = thread.submit(lock("a", wait=20).acquire)
            until(lambda: len(lock("a").info().waiters) == 2)
            holder.release()
            held(alive.result(20)).release()


def test_processes_that_contend_are_all_served_and_never_two_at_once(
    settings: Settings, tmp_path: Path
) -> None:
    configured(settings, using="default")

    assert all_served(STORE, tmp_path, processes=8, rounds=10) == []
    versions = [version for version, _, _ in events("fought-over")]
    assert len(versions) >= 2 * 80
    assert versions == list(range(1, len(versions) + 1))
