"""Writes that were refused, as the records of locks know of them."""

import logging
import os
import signal
import time
from collections.abc import Iterator

import pytest
from django.db import connections, transaction

from config.servers import Servers
from coordination import fenced_value, lock
from coordination.exceptions import StaleToken
from coordination.fencing.deleting import cascading
from coordination.fencing.refusals import stale_tokens
from coordination.locks import stale_writes
from coordination.locks.grant import Grant
from coordination.locks.recording import LockProjection
from coordination.locks.records import LockRefusal
from coordination.locks.stale_writes import DEADLINE_MS, TOLD_S_MAX
from coordination.observing.journal import Journal
from coordination.observing.rebuild import rebuild
from tests.contract.fencing.test_trigger import fenced
from tests.contract.locks.asking import held
from tests.guarded.installing import app, on_postgresql
from tests.guarded.models import Account
from tests.integration.forked_child import fork, succeeded
from tests.integration.lock_observing import audit, observe, own, run_sql
from tests.integration.own_redis import own_redis
from tests.integration.postgresql_locks import frozen

__all__ = ["app", "on_postgresql", "own", "own_redis"]

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("on_postgresql", "own"),
]


@pytest.fixture(autouse=True)
def _nothing_told() -> Iterator[None]:
    stale_writes._begin_anew()
    yield
    stale_writes._begin_anew()


def passed_on(name: str) -> tuple[Grant, Grant]:
    """Two grants of one lock, of which the first does not know that it was taken away."""
    first = held(lock(name, owner="paused", renew=False).acquire())
    lock.force_release(name, actor="operator", reason="paused")
    return first, held(lock(name, owner="later").acquire())


def written(grant: Grant) -> Account:
    account = Account()
    account.save(token=grant)
    return account


def refused() -> list[tuple[str, str, int, int | None, str]]:
    return list(
        LockRefusal.objects.exclude(what="release")
        .order_by("id")
        .values_list("key", "what", "token", "newer", "owner")
    )


def test_a_refused_write_is_recorded_although_its_transaction_is_rolled_back() -> None:
    first, later = passed_on("a")
    account = written(later)

    with pytest.raises(StaleToken) as told, transaction.atomic():
        account.save(token=first)

    assert (told.value.token, told.value.newer) == (first.token, later.token)
    what = f"guarded.Account {account.pk}"
    assert refused() == [("redis lock a", what, first.token, later.token, "paused")]


@pytest.mark.parametrize("verb", ["update", "bulk_update", "delete", "delete rows", "cascade"])
def test_every_verb_that_is_refused_is_recorded(verb: str) -> None:
    first, later = passed_on("a")
    account = written(later)
    rows = Account.objects.fenced(first)
    with pytest.raises(StaleToken):
        match verb:
            case "update":
                rows.update(balance=1)
            case "bulk_update":
                rows.bulk_update([account], ["balance"])
            case "delete":
                account.delete(token=first)
            case "delete rows":
                rows.delete()
            case _:
                with cascading(first) as deletion:
                    deletion.claim(Account, "default", [account.pk])

    assert [(key, token) for key, _, token, _, _ in refused()] == [("redis lock a", first.token)]


def test_a_refused_value_is_recorded() -> None:
    first, later = passed_on("a")
    fenced_value("leader").set(1, token=later)
    with pytest.raises(StaleToken):
        fenced_value("leader").set(2, token=first)

    assert [row[:2] for row in refused()] == [("redis lock a", "fenced value leader")]


def test_a_bare_token_is_found_among_the_grants() -> None:
    first, later = passed_on("a")
    account = written(later)
    observe()
    with pytest.raises(StaleToken):
        account.save(token=first.token)

    assert [(key, owner) for key, _, _, _, owner in refused()] == [("redis lock a", "paused")]


def test_a_token_that_no_grant_has_is_recorded_without_a_lock() -> None:
    account = Account()
    account.save(token=9)
    with pytest.raises(StaleToken):
        account.save(token=8)

    assert refused() == [("", f"guarded.Account {account.pk}", 8, 9, "")]


def test_what_the_trigger_refused_is_recorded() -> None:
    first, later = passed_on("a")
    observe()
    with fenced("default", "Account"):
        account = written(later)
        with pytest.raises(StaleToken), stale_tokens(), transaction.atomic():
            with connections["default"].cursor() as cursor:
                sql = "UPDATE guarded_account SET fence_token = %s WHERE id = %s"
                cursor.execute(sql, [first.token, account.pk])

    told = ("redis lock a", "table guarded_account", first.token, later.token, "paused")
    assert refused() == [told]


def test_a_process_that_ends_with_the_error_has_told_of_it_before() -> None:
    """One that was stopped past its lease, and knows nothing but the number of its token."""
    held_now, go_on = os.pipe(), os.pipe()

    def stopped() -> bool:
        token = held(lock("a", ttl=0.5, owner="paused").acquire()).token
        os.write(held_now[1], b"x")
        os.read(go_on[0], 1)  # stopped here, its renewals with it
        fenced_value("leader").set("late", token=token)
        return True

    child = fork(stopped)
    os.read(held_now[0], 1)
    os.kill(child, signal.SIGSTOP)
    try:
        with lock("a", wait=10) as later:
            fenced_value("leader").set("later", token=later)
        observe()
    finally:
        os.kill(child, signal.SIGCONT)
        os.write(go_on[1], b"x")

    assert not succeeded(child)
    ((key, what, _, newer, owner),) = refused()
    assert (key, what, owner) == ("redis lock a", "fenced value leader", "paused")
    assert newer == later.token


def test_a_loop_of_refused_writes_does_not_flood_the_records() -> None:
    first, later = passed_on("a")
    account = written(later)
    for _ in range(5):
        with pytest.raises(StaleToken):
            account.save(token=first)
        stale_writes._begin_anew()  # as another process would
    assert len(refused()) == 1

    begun = time.monotonic()
    for number in range(100):
        other = fenced_value(f"v{number}")
        other.set(1, token=later)
        with pytest.raises(StaleToken):
            other.set(2, token=first)
    assert len(refused()) <= 1 + TOLD_S_MAX * (int(time.monotonic() - begun) + 2)


def test_a_coordinator_that_is_frozen_delays_the_error_once_and_hides_it_never(
    servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    first, later = passed_on("a")
    values = [fenced_value(name) for name in ("x", "y")]
    for value in values:
        value.set(1, token=later)
    times = []
    with frozen(servers), caplog.at_level(logging.WARNING):
        for value in values:
            begun = time.monotonic()
            with pytest.raises(StaleToken):
                value.set(2, token=first)
            times.append(time.monotonic() - begun)

    assert times[0] < DEADLINE_MS / 1000 + 0.3
    assert times[1] < DEADLINE_MS / 2_000
    assert "was not recorded" in caplog.text


def test_stale_writes_are_evidence_of_the_verdict_and_outlive_a_rebuild() -> None:
    first, later = passed_on("a")
    account = written(later)
    with pytest.raises(StaleToken):
        account.save(token=first)
    observe()
    assert audit().evidence["stale_writes_refused"] == 1

    rebuild(Journal("default"), [LockProjection()])

    assert len(refused()) == 1


def test_what_cannot_be_recorded_is_still_refused() -> None:
    first, later = passed_on("a")
    account = written(later)
    run_sql("ALTER TABLE concord_lock_refusal RENAME TO elsewhere")
    try:
        with pytest.raises(StaleToken):
            account.save(token=first)
    finally:
        run_sql("ALTER TABLE elsewhere RENAME TO concord_lock_refusal")
    assert refused() == []
