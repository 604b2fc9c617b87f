"""Locks beside SQLite when processes fail, or the file does."""

import os
import signal
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connections, transaction
from pytest_django import DjangoDbBlocker, Settings

from coordination import checks, lock
from coordination.connections import mounts
from coordination.exceptions import NotOwner, NotSupportedByStore, StoreUnavailable
from coordination.locks.stores.sqlite import SqliteLocks
from tests.contract.locks.asking import asked, held, pass_time, until
from tests.integration.contenders import all_served, child, holding, kill, waiting
from tests.integration.forked_child import fork, succeeded
from tests.integration.sqlite_locks import events, hasty, look, sidecar, store, within_the_deadline
from tests.lock_stores import SQLITE, sqlite_locks

__all__ = ["hasty", "sqlite_locks", "store"]

pytestmark = pytest.mark.usefixtures("store")


# Beside the caller's transaction


def test_a_lock_is_taken_inside_a_transaction_that_has_written(
    django_db_blocker: DjangoDbBlocker,
) -> None:
    with django_db_blocker.unblock():
        with connections[SQLITE].cursor() as cursor:
            cursor.execute("CREATE TABLE mine (n INTEGER)")
        with transaction.atomic(using=SQLITE):
            with connections[SQLITE].cursor() as cursor:
                cursor.execute("INSERT INTO mine VALUES (1)")
            grant = held(lock("a").acquire())
            transaction.set_rollback(True, using=SQLITE)
        assert lock("a").info().token == grant.token
        grant.release()


def test_the_file_is_beside_the_project_s_or_where_its_options_say(
    settings: Settings, tmp_path: Path
) -> None:
    held(lock("a").acquire()).release()
    assert sidecar().exists()

    elsewhere = {"BACKEND": "database", "USING": SQLITE, "OPTIONS": {"LOCATION": tmp_path / "x"}}
    settings.COORDINATION = {"NODE": "test", "STORES": {"other": elsewhere}}
    held(lock("a").acquire()).release()
    assert (tmp_path / "x").exists()


@pytest.mark.parametrize("name", [":memory:", "file:memorydb_x?mode=memory&cache=shared"])
def test_a_database_in_memory_is_refused_before_anything_is_opened(
    name: str, tmp_path: Path
) -> None:
    connections.settings[SQLITE]["NAME"] = name

    with pytest.raises(NotSupportedByStore, match=r"OPTIONS\['LOCATION'\]"):
        lock("a").acquire()
    found = checks.check_database_stores(None)
    assert [message.id for message in found] == ["concord.E017"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "expected"), [("nfs4", "nfs4"), ("ext4", None)])
def test_a_disk_of_another_host_is_told_apart(
    kind: str, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = tmp_path / "mountinfo"
    listed.write_text(
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        f"40 22 0:35 / {tmp_path}/far rw shared:2 - {kind} server:/x rw\n"
    )
    monkeypatch.setattr(mounts, "MOUNTS", listed)

    assert mounts.network_filesystem(tmp_path / "far" / "db") == expected
    assert mounts.network_filesystem(tmp_path / "near") is None
    listed.unlink()
    assert mounts.network_filesystem(tmp_path / "far" / "db") is None


# Processes that fail


def in_the_middle(store: SqliteLocks, then: Callable[[], object]) -> Callable[[], None]:
    """Work of a child: begin to change a lock, and fail before that is committed."""

    def work() -> None:
        with store._sidecar.transaction(1_000) as db:
            db.execute("UPDATE clock SET token = token + 1000000000000000")
            then()

    return work


def test_a_process_killed_in_the_middle_of_a_change_leaves_nothing_of_it(
    store: SqliteLocks,
) -> None:
    before = held(lock("a").acquire())
    before.release()
    with child(in_the_middle(store, lambda: os.kill(os.getpid(), signal.SIGKILL))) as pid:
        os.waitpid(pid, 0)

        with lock("a") as grant:
            assert before.token < grant.token < before.token + 10**12


@pytest.mark.parametrize(
    "verb",
    [
        lambda store: store.acquire(asked("a"), stay_ms=5_000),
        lambda store: store.release(asked("a")),
        lambda store: store.renew([asked("a")]),
        lambda store: lock.force_release("a", reason="stuck", actor="operator"),
        lambda store: lock.request_revoke("a", reason="deploy"),
        lambda store: lock("a").info(),
        lambda store: store.contended(),
        lambda store: store.highest_token(),
        lambda store: store.raise_tokens(1),
        lambda store: lock("a", renew=False).acquire(),
    ],
)
def test_a_process_frozen_in_the_middle_of_a_change_is_an_error_within_the_deadline(
    verb: Callable[[SqliteLocks], object], hasty: SqliteLocks, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    with child(in_the_middle(hasty, lambda: (begun.touch(), signal.pause()))):
        until(begun.exists)
        with within_the_deadline(), pytest.raises(StoreUnavailable) as told:
            verb(hasty)
    assert told.value.applied is False
    held(lock("a").acquire()).release()


def test_a_killed_holder_is_waited_for_no_longer_than_its_lease() -> None:
    with child(holding(SQLITE, "a", ttl=1)) as pid:
        until(lambda: lock("a").info().holders != ())
        kill(pid)
        assert held(lock("a", wait=10).acquire()).waited < 1 + 2


def test_a_killed_waiter_is_skipped_and_its_pipe_taken_away() -> None:
    holder = held(lock("a").acquire())
    with child(waiting(SQLITE, "a")) as pid:
        until(lambda: len(lock("a").info().waiters) == 1)
        until(lambda: len(pipes()) == 1)
        kill(pid)
        with ThreadPoolExecutor(1) as thread:
            alive = thread.submit(lock("a", wait=20).acquire)
            until(lambda: len(lock("a").info().waiters) == 2)
            holder.release()
            held(alive.result(20)).release()
    assert len(pipes()) <= 1  # ours


def pipes() -> list[Path]:
    return list(sidecar().parent.glob(f"{sidecar().name}-bell-*"))


def test_a_waiter_in_another_process_is_woken_at_once(tmp_path: Path) -> None:
    holder = held(lock("a", ttl=30).acquire())
    asleep, woken = tmp_path / "asleep", tmp_path / "woken"

    def wait_for_it() -> bool:
        asleep.touch()
        grant = held(lock("a", wait=20).acquire())
        woken.write_text(str(time.monotonic()))
        grant.release()
        return True

    pid = fork(wait_for_it)
    until(lambda: len(lock("a").info().waiters) == 1)
    until(lambda: len(pipes()) == 1)
    pass_time(0.1)  # so that it sleeps
    freed = time.monotonic()
    holder.release()

    assert succeeded(pid)
    assert float(woken.read_text()) - freed < 1  # it looks again after two seconds


def test_a_waiter_that_hears_nothing_looks_for_itself(store: SqliteLocks) -> None:
    holder = held(lock("a").acquire())
    with ThreadPoolExecutor(1) as thread:
        waiter = thread.submit(lock("a", wait=20).acquire)
        until(lambda: len(lock("a").info().waiters) == 1)
        # Another process would find no pipe; this one rings its own bells without.
        with store._sidecar.transaction(1_000) as db:
            db.execute("UPDATE claim SET bell = '0000' WHERE state = 'waiting'")
        holder.release()
        held(waiter.result(20)).release()


def test_a_forked_child_does_not_hold_what_its_parent_holds() -> None:
    grant = held(lock("a", ttl=2).acquire())

    def in_child() -> bool:
        try:
            grant.release()
        except NotOwner:
            with lock("of-the-child"):
                return grant.lost is not None and lock("a").acquire(wait=0) is None
        return False

    pid = fork(in_child)
    with lock("of-the-parent"):
        pass
    assert succeeded(pid)
    assert grant.lost is None
    grant.renew()
    grant.release()


def test_a_fork_while_threads_are_at_it_leaves_both_sides_working() -> None:
    def work(number: int) -> None:
        for _ in range(20):
            with lock(f"n{number}", wait=30):
                pass

    def in_child() -> bool:
        work(100)
        return True

    with ThreadPoolExecutor(4) as threads:
        working = [threads.submit(work, number) for number in range(4)]
        children = [fork(in_child) for _ in range(4)]
        for each in working:
            each.result(60)
    assert [succeeded(each) for each in children] == [True] * 4
    assert look("PRAGMA integrity_check") == [("ok",)]


def test_processes_that_contend_are_all_served_and_never_two_at_once(tmp_path: Path) -> None:
    assert all_served(SQLITE, tmp_path, processes=8, rounds=10) == []
    positions = [position for position, _, _ in events()]
    assert len(positions) >= 2 * 80
    assert positions == list(range(1, len(positions) + 1))


# The file


def test_a_file_that_was_replaced_is_opened_anew(tmp_path: Path) -> None:
    grant = held(lock("a", ttl=0.6).acquire())
    sidecar().rename(tmp_path / "away")

    other = held(lock("a", renew=False).acquire())

    assert other.token > grant.token
    until(lambda: grant.lost is not None)
    other.release()


def test_processes_that_make_the_file_at_once_do_not_take_it_for_a_stranger_s(
    store: SqliteLocks,
) -> None:
    for _ in range(5):
        store._sidecar.close()
        for left in sidecar().parent.glob(f"{sidecar().name}*"):
            left.unlink()
        children = [fork(lambda: store.highest_token() == 0) for _ in range(8)]
        assert [succeeded(each) for each in children] == [True] * 8


def test_a_stranger_s_file_is_left_alone() -> None:
    with sqlite3.connect(sidecar()) as connection:
        connection.execute("CREATE TABLE theirs (n INTEGER)")
    connection.close()

    with pytest.raises(StoreUnavailable, match="not ours") as told:
        lock("a").acquire()
    assert told.value.applied is False


def test_a_folder_that_cannot_be_written_to_is_an_error() -> None:
    connections.settings[SQLITE]["NAME"] = Path("/nowhere/at/all")

    with pytest.raises(StoreUnavailable, match="unable to open"):
        lock("a").acquire()
