"""Guarded rows and optimistic names when the server behind Django's connection does not answer."""

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from django.db import connections, transaction
from pytest_django import Settings

from coordination import optimistic
from coordination.connections import deadlines
from coordination.exceptions import ConflictError, OutcomeUnknown, StoreUnavailable
from coordination.versions.attempt import Attempt
from tests.contract.places import LITE
from tests.guarded.installing import (
    _django_db_helper,
    app,
    name_stores,
    on_postgresql,
    sqlite,
)
from tests.guarded.models import Account, Document, Savings
from tests.integration.forked_child import fork

__all__ = ["_django_db_helper", "app", "on_postgresql"]

pytestmark = pytest.mark.django_db(transaction=True)

DEADLINE_S = 0.4


@pytest.fixture(autouse=True)
def _stores(settings: Settings) -> None:
    name_stores(settings)


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A function that shortens the deadline: what a test prepares may take its time."""
    return lambda: monkeypatch.setattr(deadlines, "STATEMENT_MS", int(DEADLINE_S * 1000))


@pytest.fixture
def frozen(on_postgresql: None, hurry: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """A function that stops the server's process behind our connection; it goes on afterwards."""
    stopped: list[int] = []

    def freeze() -> None:
        hurry()
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            stopped.append(cursor.fetchone()[0])
        os.kill(stopped[-1], signal.SIGSTOP)

    yield freeze
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def in_time() -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < DEADLINE_S + 0.5


def fenced_calls() -> dict[str, Callable[[], object]]:
    row = Account()
    row.save(token=5)
    child = Savings()
    child.save(token=5)
    rows = Account.objects.fenced(6)
    return {
        "save": partial(row.save, token=6),
        "save of two tables": partial(child.save, token=6),
        "insert": partial(Account().save, token=6),
        "delete": partial(row.delete, token=6),
        "create": partial(rows.create, balance=1),
        "get or create": partial(rows.get_or_create, pk=row.pk),
        "update or create": partial(rows.update_or_create, {"balance": 2}, pk=row.pk),
        "update": partial(rows.update, balance=3),
        "bulk_update": partial(rows.bulk_update, [row], ["balance"]),
        "bulk_create": partial(rows.bulk_create, [Account()]),
        "delete rows": rows.delete,
    }


def versioned_calls() -> dict[str, Callable[[], object]]:
    row = Document(title="a")
    row.save()
    rows = Document.objects.all()
    return {
        "save": row.save,
        "insert": Document(title="b").save,
        "delete": row.delete,
        "update": partial(rows.update, title="c"),
        "bulk_update": partial(rows.bulk_update, [row], ["title"]),
        "bulk_create": partial(rows.bulk_create, [Document(title="d")]),
    }


FENCED = (
    *("save", "save of two tables", "insert", "delete", "create", "update or create", "update"),
    *("bulk_update", "bulk_create", "delete rows", "get or create"),
)
VERSIONED = ("save", "insert", "delete", "update", "bulk_update", "bulk_create")


@pytest.mark.parametrize("verb", FENCED)
def test_a_frozen_server_is_an_error_within_the_deadline_of_fenced_rows(
    frozen: Callable[[], None], verb: str
) -> None:
    call = fenced_calls()[verb]
    frozen()
    with in_time(), pytest.raises((OutcomeUnknown, StoreUnavailable)):
        call()
    assert Account.objects.count() == 2  # on a connection that was made anew


@pytest.mark.parametrize("verb", VERSIONED)
def test_a_frozen_server_is_an_error_within_the_deadline_of_versioned_rows(
    frozen: Callable[[], None], verb: str
) -> None:
    call = versioned_calls()[verb]
    frozen()
    with in_time(), pytest.raises((OutcomeUnknown, StoreUnavailable)):
        call()
    assert Document.objects.count() == 1


def test_inside_a_transaction_a_save_that_got_no_answer_was_not_applied(
    frozen: Callable[[], None],
) -> None:
    row = Account()
    row.save(token=5)
    with in_time(), pytest.raises(StoreUnavailable) as told:
        with transaction.atomic():
            frozen()
            row.save(token=6)

    assert told.value.applied is False
    assert row.fence_token == 5
    assert Account.objects.get().fence_token == 5


def test_a_save_that_got_no_answer_may_have_been_applied(frozen: Callable[[], None]) -> None:
    row = Document(title="a")
    row.save()
    frozen()
    with pytest.raises(OutcomeUnknown) as told:
        row.save()
    assert told.value.applied is None
    assert row.version == 1


def test_what_django_itself_sends_is_waited_for_as_ever(
    on_postgresql: None, hurry: Callable[[], None]
) -> None:
    """Only the statements of guarded writes have the deadline."""
    hurry()
    Account().save(token=5)
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [DEADLINE_S + 0.2])
    assert "wait" not in connections["default"].connection.__dict__


@pytest.mark.parametrize("moment", ["read", "write", "verify", "commit"])
def test_a_frozen_server_is_an_error_within_the_deadline_of_an_attempt(
    frozen: Callable[[], None],
    moment: str,
    monkeypatch: pytest.MonkeyPatch,
    hurry: Callable[[], None],
) -> None:
    begun: list[float] = []

    def freeze() -> None:
        frozen()
        begun.append(time.monotonic())

    def body(attempt: Attempt) -> None:
        if moment in ("write", "commit"):
            attempt.set(1)
        if moment == "commit":
            freeze_before_the_commit()
        elif moment != "read":
            freeze()

    def freeze_before_the_commit() -> None:
        connection = connections["default"]
        monkeypatch.setattr(connection, "_commit", partial(frozen_commit, connection._commit))

    def frozen_commit(commit: Callable[[], None]) -> None:
        hurry()
        pid = connections["default"].connection.info.backend_pid
        os.kill(pid, signal.SIGSTOP)
        begun.append(time.monotonic())
        try:
            commit()
        finally:
            os.kill(pid, signal.SIGCONT)

    if moment == "read":
        freeze()
    with pytest.raises((OutcomeUnknown, StoreUnavailable)) as told:
        optimistic.run(body, "frozen", using="default")

    assert time.monotonic() - begun[0] < DEADLINE_S + 0.5
    assert (told.value.applied is None) == (moment == "commit")


def test_what_runs_after_the_commit_of_an_attempt_takes_its_time(
    on_postgresql: None, hurry: Callable[[], None]
) -> None:
    hurry()

    def slowly() -> None:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT pg_sleep(%s)", [DEADLINE_S + 0.2])

    def body(attempt: Attempt) -> None:
        transaction.on_commit(slowly)
        attempt.set(1)

    optimistic.run(body, "slow", using="default")


@pytest.fixture
def hasty_file(
    app: None, transactional_db: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """SQLite whose `timeout` is the deadline."""
    with sqlite(tmp_path_factory.mktemp("lite")):
        connections[LITE].close()
        connections.settings[LITE]["OPTIONS"] = {"timeout": DEADLINE_S}
        del connections[LITE]
        yield LITE


def test_a_process_frozen_while_it_writes_a_file_is_an_error_within_the_deadline(
    hasty_file: str,
) -> None:
    row, versioned = Account(), Document(title="a")
    row.save(token=5, using=LITE)
    versioned.save(using=LITE)
    path = str(connections.settings[LITE]["NAME"])
    reading, writing = os.pipe()

    def freezes() -> bool:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        os.write(writing, b"x")
        os.kill(os.getpid(), signal.SIGSTOP)
        return True

    child = fork(freezes)
    try:
        os.read(reading, 1)
        for write in (partial(row.save, token=6), versioned.save):
            with in_time(), pytest.raises(Exception, match="locked"):
                write()
        with in_time(), pytest.raises((ConflictError, StoreUnavailable)):
            optimistic.run(lambda a: a.set(1), "a", using=LITE, retries=0)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    row.save(token=6)
