"""Optimistic names on a database: what the body did there goes or stays with the write."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from django.db import DatabaseError, IntegrityError, connections, transaction

from coordination import optimistic
from coordination.exceptions import ConflictError, OutcomeUnknown, StoreUnavailable
from coordination.versions.attempt import Attempt
from coordination.versions.stores.database import DatabaseVersions
from tests.contract.locks.asking import until
from tests.contract.threads import at_once, disconnected
from tests.contract.versions.test_names import read, write, write_elsewhere
from tests.guarded.models import Document

on_postgresql_alone = pytest.mark.parametrize("using", ["default"], indirect=True)


def titles(using: str) -> list[str]:
    return list(Document.objects.using(using).order_by("pk").values_list("title", flat=True))


def test_a_conflict_undoes_everything_the_body_did(using: str, name: str) -> None:
    for attempt in optimistic(name, using=using):
        with attempt as a:
            if a.number == 1:
                write_elsewhere(using, name, "theirs")
            # A writer of SQLite that read before is refused here already.
            Document.objects.using(using).create(title=str(a.number))
            a.set("mine")

    assert titles(using) == ["2"]


def test_an_error_undoes_everything_the_body_did(using: str, name: str) -> None:
    with pytest.raises(ZeroDivisionError):
        for attempt in optimistic(name, using=using):
            with attempt as a:
                Document.objects.using(using).create(title="x")
                a.set(1)
                _ = 1 / 0
    assert titles(using) == []


def test_what_is_to_run_after_the_commit_runs_once(using: str, name: str) -> None:
    ran = []
    for attempt in optimistic(name, using=using):
        with attempt as a:
            if a.number == 1:
                write_elsewhere(using, name, 1)
            transaction.on_commit(lambda: ran.append(1), using=using)
            a.set(2)
    assert ran == [1]


@pytest.mark.parametrize("error", [ConflictError, DatabaseError, ZeroDivisionError])
def test_an_error_after_the_commit_is_no_conflict(
    using: str, name: str, error: type[Exception]
) -> None:
    def fail() -> None:
        raise error("after the commit")

    tried = []
    with pytest.raises(error, match="after the commit"):
        for attempt in optimistic(name, using=using):
            with attempt as a:
                tried.append(a.number)
                transaction.on_commit(fail, using=using)
                a.set(1)

    assert (tried, read(using, name)) == ([1], (1, 1))


def test_a_stale_model_within_an_attempt_is_read_again(using: str, name: str) -> None:
    pk = Document.objects.using(using).create(title="a").pk

    def change(a: object) -> int:
        document = Document.objects.using(using).get(pk=pk)
        if document.version == 1:
            at_once(lambda: Document.objects.using(using).update(text="theirs"))
        document.title = "mine"
        document.save()
        return document.version

    assert optimistic.run(change, name, using=using) == 3
    row = Document.objects.using(using).get()
    assert (row.title, row.text) == ("mine", "theirs")


def test_a_database_error_that_the_body_swallowed_is_not_passed_over(using: str, name: str) -> None:
    """Django rolls such a block back at its end without a word."""
    Document.objects.using(using).create(pk=1)
    with pytest.raises(transaction.TransactionManagementError):
        for attempt in optimistic(name, using=using):
            with attempt as a:
                a.set("mine")
                with pytest.raises(IntegrityError):
                    Document(pk=1).save(using=using, force_insert=True)
    assert read(using, name) == (None, 0)


def test_inside_a_transaction_an_attempt_is_a_part_of_it(using: str, name: str) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic(using=using):
        write(using, name, 1)
        assert read(using, name) == (1, 1)
        _ = 1 / 0
    assert read(using, name) == (None, 0)
    with transaction.atomic(using=using):
        write(using, name, 1)
        write(using, name, 2)
    assert read(using, name) == (2, 2)


@on_postgresql_alone
def test_inside_a_transaction_only_the_attempt_is_undone(using: str, name: str) -> None:
    with transaction.atomic(using=using):
        Document.objects.using(using).create(title="around")
        for attempt in optimistic(name, using=using):
            with attempt as a:
                Document.objects.using(using).create(title=str(a.number))
                if a.number == 1:
                    write_elsewhere(using, name, 1)
                a.set(2)

    assert titles(using) == ["around", "2"]
    assert read(using, name) == (2, 2)


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_transaction_that_sees_nothing_newer_does_not_try_in_vain(
    using: str, name: str, level: str
) -> None:
    tried = []
    with transaction.atomic(using=using):
        if using == "default":
            with connections[using].cursor() as cursor:
                cursor.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
        assert titles(using) == []
        with pytest.raises(ConflictError, match="in 1 attempt;"):
            for attempt in optimistic(name, using=using, retries=5):
                with attempt as a:
                    tried.append(a.number)
                    write_elsewhere(using, name, "theirs")
                    a.set("mine")
        assert titles(using) == []  # the transaction around it goes on
    assert tried == [1]


@on_postgresql_alone
def test_a_deadlock_with_others_is_tried_again(using: str, name: str) -> None:
    rows = [Document.objects.using(using).create(title=str(n)) for n in range(2)]
    tried, locked = [], threading.Barrier(2)

    def work(first: int) -> None:
        def swap(a: object) -> None:
            tried.append(first)
            Document.objects.using(using).filter(pk=rows[first].pk).update(text="x")
            if tried.count(first) == 1:
                locked.wait(10)
            Document.objects.using(using).filter(pk=rows[1 - first].pk).update(text="y")

        optimistic.run(swap, f"{name}:{first}", using=using)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda first: disconnected(lambda: work(first)), (0, 1)))
    assert len(tried) == 3


@on_postgresql_alone
@pytest.mark.parametrize("stands", [None, 1])
def test_what_an_attempt_only_read_stays_until_its_commit(
    using: str, name: str, stands: int | None
) -> None:
    """Somebody else's write waits for the commit, also where there was nothing to read."""
    if stands is not None:
        write(using, name, stands)
    order: list[str] = []

    def writer() -> None:
        write(using, name, 2)
        order.append("writer")

    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic(using=using):
            assert read(using, name)[0] == stands
            waiting = thread.submit(disconnected, writer)
            until(lambda: blocked(using) > 0)
            order.append("reader")
        waiting.result(10)
    assert order == ["reader", "writer"]


def blocked(using: str) -> int:
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return int(cursor.fetchone()[0])


@on_postgresql_alone
def test_every_write_is_an_event_in_the_same_step(using: str, name: str) -> None:
    for value in ("x", "yy"):
        write(using, name, value)
    with pytest.raises(ZeroDivisionError), transaction.atomic(using=using):
        write(using, name, "never")
        _ = 1 / 0
    write(using, name, "zzz")

    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT kind, version, data ->> 'bytes' FROM concord_event "
            "WHERE object = 'optimistic' AND name = %s ORDER BY version",
            [name],
        )
        assert cursor.fetchall() == [("optimistic.set", n, str(n + 2)) for n in (1, 2, 3)]


@contextmanager
def backend_ended(using: str) -> Iterator[None]:
    """The server ends this thread's connection."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()

    def end() -> None:
        with connections[using].cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    at_once(end)
    yield


@on_postgresql_alone
def test_a_connection_lost_before_the_commit_applied_nothing(using: str, name: str) -> None:
    with pytest.raises(StoreUnavailable) as told:
        for attempt in optimistic(name, using=using):
            with attempt as a:
                a.set("mine")
                with backend_ended(using):
                    pass
    assert told.value.applied is False
    assert read(using, name) == (None, 0)


@on_postgresql_alone
def test_a_connection_lost_at_the_commit_is_an_unknown_outcome(
    using: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connections[using]
    connection.ensure_connection()
    commit = connection._commit

    def lost() -> None:
        with backend_ended(using):
            commit()

    with pytest.raises(OutcomeUnknown) as told:
        for attempt in optimistic(name, using=using):
            with attempt as a:
                a.set("mine")
                monkeypatch.setattr(connection, "_commit", lost)
    monkeypatch.undo()
    assert told.value.applied is None


def test_a_database_that_is_not_there_is_an_error(using: str, name: str) -> None:
    whole = connections.settings[using]
    connections.settings["gone"] = whole | {"PORT": 1, "NAME": "/nowhere/at/all"}
    store = DatabaseVersions("gone", using="gone")
    try:
        with (
            pytest.raises(StoreUnavailable, match="'gone'"),
            Attempt(store, name, number=1, last=True),
        ):
            pytest.fail("entered")
    finally:
        del connections["gone"], connections.settings["gone"]


def test_a_table_that_is_not_there_names_the_remedy(using: str, name: str) -> None:
    rename = "ALTER TABLE {} RENAME TO {}"
    with connections[using].cursor() as cursor:
        cursor.execute(rename.format("concord_optimistic", "hidden"))
        try:
            with pytest.raises(StoreUnavailable, match=f"migrate --database={using} coordination"):
                read(using, name)
        finally:
            cursor.execute(rename.format("hidden", "concord_optimistic"))


@pytest.mark.parametrize("using", ["lite"], indirect=True)
def test_sqlite_without_wal_loses_no_increment_either(using: str, name: str) -> None:
    with connections[using].cursor() as cursor:
        cursor.execute("PRAGMA journal_mode = DELETE")

    def increment() -> None:
        for _ in range(5):
            optimistic.run(lambda a: a.set((a.value or 0) + 1), name, using=using, retries=1000)

    at_once(*[increment] * 3)
    assert read(using, name) == (15, 15)
