"""PostgreSQL below Django's ORM: the engine's own statements, several in one round trip.

They run on Django's connection of the alias, so they share its transaction, but not through its
cursors: a pipeline costs one round trip for all statements, and a cursor of Django's 100 µs each.
Every call has a deadline; psycopg itself has none, and a server that is stopped (SIGSTOP, a frozen
disk) would hold the caller for ever.
"""

import select
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db import DatabaseError, InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.abc import Transformer as AbstractTransformer
from psycopg.adapt import Transformer
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

from coordination.exceptions import OutcomeUnknown, StoreUnavailable

CALL_DEADLINE_MS = 10_000

UNDEFINED_OBJECT = "42704"
NOT_IN_PREREQUISITE_STATE = "55000"

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
    params: Sequence[Any] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """Rows and command tag of one statement."""

    rows: list[tuple[Any, ...]]
    status: str


def run(using: str, *statements: Statement, deadline_ms: int = CALL_DEADLINE_MS) -> list[Reply]:
    """Run `statements` on the alias's connection in one round trip; the first refusal stops them.

    Outside a transaction PostgreSQL takes them as one implicit transaction.

    Raises StatementRefused when the server says no, ConnectionLost (outcome unknown) when the
    connection breaks or `deadline_ms` passes, StoreUnavailable (not applied) without a connection.
    """
    return answered(start(using, *statements, deadline_ms=deadline_ms)).replies()


class Exchange:
    """Statements under way on one connection, which is not to be used until they are answered."""

    def __init__(self, connection: BaseDatabaseWrapper, *, due: float) -> None:
        self.due = due
        self.answered = False
        self.unsent = False
        self._connection = connection
        self._begun = 0
        self._replies: list[Reply] = []
        self._error: Exception | None = None

    def send(self, statements: Sequence[Statement]) -> None:
        """Hand the statements to the connection, with the BEGIN that psycopg would have sent."""
        try:
            self._raw = _open(self._connection)
        except StoreUnavailable as error:
            self.answered, self._error = True, error
            return
        self._transformer = transformer = Transformer(self._raw)
        texts = [_compose(transformer, statement) for statement in statements]
        idle = self._raw.pgconn.transaction_status == TransactionStatus.IDLE
        if idle and not self._raw.autocommit:
            texts.insert(0, _begin(self._raw))
            self._begun = 1
        try:
            self._raw.pgconn.send_query(b";".join(texts))
            self.unsent = self._raw.pgconn.flush() != 0
        except psycopg.Error as error:
            self._fail(error)

    @property
    def socket(self) -> int:
        return self._raw.pgconn.socket

    def pump(self) -> None:
        """Move bytes both ways; `unsent` tells whether there is more to be written."""
        try:
            self.unsent = self._raw.pgconn.flush() != 0
            self._read()
        except psycopg.Error as error:
            self._fail(error)

    def expire(self) -> None:
        """Give up: the deadline has passed."""
        self._fail(psycopg.OperationalError("no answer within the deadline"))

    def replies(self) -> list[Reply]:
        """The answers in order. Raises as `run` does."""
        if self._error is not None:
            raise self._error
        return self._replies[self._begun :]

    def _read(self) -> None:
        pgconn = self._raw.pgconn
        pgconn.consume_input()
        while not pgconn.is_busy():
            result = pgconn.get_result()
            if result is None:
                self.answered = True
                return
            if result.status == ExecStatus.FATAL_ERROR and self._error is None:
                error = psycopg.errors.error_from_result(result, encoding="utf-8")
                self._error = translate(error, connection=self._connection)
                self._error.__cause__ = error
            elif self._error is None:
                self._replies.append(_reply(self._transformer, result))

    def _fail(self, error: psycopg.Error) -> None:
        self.answered = True
        self._connection.close()
        self._error = ConnectionLost(
            f"connection to {self._connection.alias!r} lost: {error}", store=self._connection.alias
        )
        self._error.__cause__ = error


def start(using: str, *statements: Statement, deadline_ms: int = CALL_DEADLINE_MS) -> Exchange:
    """Send `statements` without waiting; `wait` for it before anything else uses the connection.

    Never raises for what the server does: the exchange's `replies` does.
    """
    exchange = Exchange(connections[using], due=time.monotonic() + deadline_ms / 1000)
    exchange.send(statements)
    return exchange


def wait(*exchanges: Exchange) -> None:
    """Wait until each is answered or past its deadline, however many connections that takes.

    psycopg's own wait serves one connection, has no deadline, and costs 100 µs more a statement.
    """
    poll = select.poll()
    waiting = {exchange.socket: exchange for exchange in exchanges if not exchange.answered}
    for socket, exchange in waiting.items():
        poll.register(socket, select.POLLIN | (select.POLLOUT if exchange.unsent else 0))
    while waiting:
        left_ms = (min(each.due for each in waiting.values()) - time.monotonic()) * 1000
        for socket, _ in poll.poll(max(0.0, left_ms)):
            exchange = waiting[socket]
            exchange.pump()
            if exchange.answered:
                poll.unregister(socket)
                del waiting[socket]
            else:
                poll.modify(socket, select.POLLIN | (select.POLLOUT if exchange.unsent else 0))
        if left_ms <= 0:
            _expire(waiting, poll)


def answered(exchange: Exchange) -> Exchange:
    """The same exchange, waited for."""
    wait(exchange)
    return exchange


def _expire(waiting: dict[int, Exchange], poll: "select.poll") -> None:
    now = time.monotonic()
    for socket in [each for each, exchange in waiting.items() if exchange.due <= now]:
        poll.unregister(socket)
        waiting.pop(socket).expire()


def _compose(transformer: AbstractTransformer, statement: Statement) -> bytes:
    """The statement with its parameters as literals: several then fit into one simple query."""
    if not statement.params:
        return statement.sql.encode()
    parts = statement.sql.replace("%%", "%").encode().split(b"%s")
    if len(parts) != len(statement.params) + 1:
        raise TypeError(f"{len(parts) - 1} placeholders for {len(statement.params)} parameters")
    pieces = [parts[0]]
    for value, part in zip(statement.params, parts[1:], strict=True):
        pieces += (transformer.as_literal(value), part)
    return b"".join(pieces)


def _begin(raw: psycopg.Connection[Any]) -> bytes:
    level = raw.isolation_level
    if level is None:
        return b"BEGIN"
    return b"BEGIN ISOLATION LEVEL " + level.name.replace("_", " ").encode()


def _reply(transformer: AbstractTransformer, result: PGresult) -> Reply:
    rows: list[tuple[Any, ...]] = []
    if result.status == ExecStatus.TUPLES_OK:
        transformer.set_pgresult(result)
        rows = transformer.load_rows(0, result.ntuples, tuple)
    return Reply(rows, (result.command_status or b"").decode())


def _open(connection: BaseDatabaseWrapper) -> psycopg.Connection[Any]:
    if connection.vendor != "postgresql":
        raise TypeError(
            f"database alias {connection.alias!r} is {connection.vendor}, not PostgreSQL"
        )
    try:
        connection.ensure_connection()
    except (OperationalError, InterfaceError) as error:
        raise StoreUnavailable(
            f"cannot connect to database {connection.alias!r}: {error}", store=connection.alias
        ) from error
    raw: psycopg.Connection[Any] = connection.connection
    if raw.closed:
        connection.close()
        return _open(connection)
    return raw


def translate(
    error: Exception, *, connection: BaseDatabaseWrapper
) -> StatementRefused | ConnectionLost:
    """Turn an error of psycopg or of Django's wrapper into one of ours; drop a dead connection."""
    cause = error.__cause__ if isinstance(error, DatabaseError | InterfaceError) else error
    sqlstate = getattr(cause, "sqlstate", None) or ""
    raw = connection.connection
    broken = raw is None or raw.closed or raw.broken
    # Without a SQLSTATE it is psycopg's own word, or a body's that raised such an error itself.
    unanswered = not sqlstate and isinstance(cause, psycopg.OperationalError)
    if unanswered or sqlstate.startswith(CONNECTION_FAILURES) or broken:
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
