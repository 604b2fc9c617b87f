"""PostgreSQL below Django's ORM: the engine's own statements, several in one round trip.

They run on Django's connection of the alias, so they share its transaction, but not through its
cursors: a pipeline costs one round trip for all statements, and a cursor of Django's 100 µs each.
Every call has a deadline; psycopg itself has none, and a server that is stopped (SIGSTOP, a frozen
disk) would hold the caller for ever.
"""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db import DatabaseError, InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from coordination.exceptions import OutcomeUnknown, StoreUnavailable

CALL_DEADLINE_MS = 10_000
POLL_INTERVAL_S = 0.1
"""How often a waiting call looks at its deadline."""

UNDEFINED_OBJECT = "42704"
UNDEFINED_TABLE = "42P01"
LOCK_NOT_AVAILABLE = "55P03"
OBJECT_IN_USE = "55006"
NOT_IN_PREREQUISITE_STATE = "55000"
UNIQUE_VIOLATION = "23505"

CONNECTION_FAILURES = ("08", "57P01", "57P02", "57P03", "57P05")
"""SQLSTATE prefixes after which nothing is known about the statement in flight."""


class ConnectionLost(OutcomeUnknown):
    """The connection broke after the statement was sent: it may or may not have taken effect."""


UNREACHABLE = (StoreUnavailable, ConnectionLost)
"""No answer, whether or not the statement arrived."""


class StatementRefused(Exception):
    """The server answered no. `sqlstate` says why; nothing of the statement took effect."""

    def __init__(self, message: str, *, sqlstate: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


@dataclass(frozen=True, slots=True)
class Statement:
    """One named SQL text with its parameters."""

    sql: str
    params: Sequence[Any] | Mapping[str, Any] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """Rows and command tag of one statement."""

    rows: list[tuple[Any, ...]]
    status: str


def run(using: str, *statements: Statement, deadline_ms: int = CALL_DEADLINE_MS) -> list[Reply]:
    """Run `statements` on the alias's connection in one round trip; the first refusal stops them.

    Outside a transaction PostgreSQL takes one pipeline as one implicit transaction.

    Raises StatementRefused when the server says no, ConnectionLost (outcome unknown) when the
    connection breaks or `deadline_ms` passes, StoreUnavailable (not applied) without a connection.
    """
    connection = connections[using]
    raw = _open(connection, using)
    try:
        with _deadline(raw, deadline_ms):
            return _execute(raw, statements)
    except psycopg.Error as error:
        raise translate(error, connection=connection) from error


def _execute(raw: psycopg.Connection[Any], statements: Sequence[Statement]) -> list[Reply]:
    if len(statements) == 1:
        return [_reply(_send(raw, statements[0]))]
    with raw.pipeline():
        cursors = [_send(raw, statement) for statement in statements]
    return [_reply(cursor) for cursor in cursors]


def _send(raw: psycopg.Connection[Any], statement: Statement) -> psycopg.Cursor[Any]:
    cursor = psycopg.Cursor(raw)
    cursor.execute(statement.sql, statement.params or None)
    return cursor


def _reply(cursor: psycopg.Cursor[Any]) -> Reply:
    rows = cursor.fetchall() if cursor.description else []
    return Reply(rows, cursor.statusmessage or "")


def _open(connection: BaseDatabaseWrapper, using: str) -> psycopg.Connection[Any]:
    if connection.vendor != "postgresql":
        raise TypeError(f"database alias {using!r} is {connection.vendor}, not PostgreSQL")
    try:
        connection.ensure_connection()
    except (OperationalError, InterfaceError) as error:
        raise StoreUnavailable(
            f"cannot connect to database {using!r}: {error}", store=using
        ) from error
    raw: psycopg.Connection[Any] = connection.connection
    if raw.closed:
        connection.close()
        return _open(connection, using)
    return raw


@contextmanager
def _deadline(raw: psycopg.Connection[Any], deadline_ms: int) -> Iterator[None]:
    """Bound every wait on `raw`. psycopg drives its protocol generators in `Connection.wait`."""
    due = time.monotonic() + deadline_ms / 1000
    plain = type(raw).wait

    def wait(generator: Generator[Any, Any, Any], interval: float = POLL_INTERVAL_S) -> Any:
        return plain(raw, _bounded(generator, due), interval)

    raw.wait = wait  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        del raw.wait


def _bounded(generator: Generator[Any, Any, Any], due: float) -> Generator[Any, Any, Any]:
    try:
        wanted = next(generator)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > due:
                generator.close()
                raise psycopg.OperationalError("no answer within the deadline")
            wanted = generator.send(ready)
    except StopIteration as stop:
        return stop.value


def translate(
    error: Exception, *, connection: BaseDatabaseWrapper
) -> StatementRefused | ConnectionLost:
    """Turn an error of psycopg or of Django's wrapper into one of ours; drop a dead connection."""
    cause = error.__cause__ if isinstance(error, DatabaseError | InterfaceError) else error
    sqlstate = getattr(cause, "sqlstate", None)
    raw = connection.connection
    broken = raw is None or raw.closed or raw.broken
    if sqlstate is None or sqlstate.startswith(CONNECTION_FAILURES) or broken:
        connection.close()
        return ConnectionLost(
            f"connection to {connection.alias!r} lost: {error}", store=connection.alias
        )
    return StatementRefused(str(error).strip(), sqlstate=sqlstate)


def in_transaction(using: str) -> bool:
    """Whether the caller's thread has an `atomic()` block open, or autocommit off, on the alias."""
    connection = connections[using]
    if connection.in_atomic_block or not connection.settings_dict["AUTOCOMMIT"]:
        return True
    # Not get_autocommit(): that would connect.
    return connection.connection is not None and not connection.autocommit
