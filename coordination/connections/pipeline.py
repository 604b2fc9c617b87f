"""One PostgreSQL connection in libpq's pipeline mode: exchanges under way, answered in order.

Source: PostgreSQL manual, "Pipeline Mode". An exchange is some statements and a Sync, hence one
round trip and, outside a transaction, one transaction. The next may be sent before the one in front
of it is answered, so a call whose answer is not needed yet costs no waiting.
"""

import itertools
import logging
import math
import select
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

from coordination.connections.database_errors import ConnectionLost, translate

logger = logging.getLogger(__name__)

PREPARED_MAX = 100
"""Statements kept prepared in one connection."""

FORGOTTEN = ("26000", "0A000")
"""A prepared statement is gone (DISCARD), or its tables have changed: prepare it anew."""

Prepared = tuple[bytes, tuple[int, ...]]
"""A statement as PostgreSQL prepares it: its text and the types of its parameters."""


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


@dataclass(slots=True, kw_only=True, eq=False)
class Exchange:
    """Statements under way on one connection, which its pipeline answers in turn."""

    due: float
    """When it is given up, on the monotonic clock, in seconds."""
    pipeline: "Pipeline | None" = None
    answered: bool = False
    unheard: bool = False
    """Nobody will ask for its replies, so an error is logged."""
    error: Exception | None = None
    collected: list[Reply] = field(default_factory=list)
    wanted: deque[bool] = field(default_factory=deque)
    """For each result to come, whether it belongs to one of the caller's statements."""
    preparing: list[Prepared] = field(default_factory=list)

    def fail(self, error: Exception) -> None:
        """End it without an answer."""
        self.error = self.error or error
        self.end()

    def end(self) -> None:
        """It is answered."""
        self.answered = True
        if self.unheard and self.error is not None:
            log_unheard(self.error)

    def replies(self) -> list[Reply]:
        """The answers in order. Raises as `database.run` does."""
        if self.error is not None:
            raise self.error
        return self.collected


class Pipeline:
    """The exchanges under way on one connection, and what it keeps from one to the next."""

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self.raw = raw
        self.unsent = False
        self._pgconn = raw.pgconn
        self._transformer = Transformer(raw)
        self.due = math.inf
        """When the first of the exchanges under way is given up, on the monotonic clock."""
        self.socket = self._pgconn.socket
        self._under_way: deque[Exchange] = deque()
        self._in_block = False
        self._prepared: dict[Prepared, bytes] = {}
        self._numbers = itertools.count()
        # Known only while something is under way: in a cycle with Django's wrapper the connection
        # of a thread that has ended would stay open until garbage is collected.
        self._connection: BaseDatabaseWrapper | None = None

    def send(
        self,
        connection: BaseDatabaseWrapper,
        statements: Sequence[Statement],
        *,
        due: float,
        alone: bool,
    ) -> Exchange:
        """Send statements without waiting, with the BEGIN that psycopg would have sent.

        `alone`: they are a transaction of their own, although autocommit is off already.
        """
        queries = [self._query(statement) for statement in statements]
        if self._under_way and self._in_block:
            # How a transaction stands is known only when what was sent in it is answered.
            wait(self._under_way[-1])
        begins = self._enter(connection) and not alone and not self.raw.autocommit
        assert not (alone and self._in_block), "what is sent alone would be part of a transaction"
        self._in_block = self._in_block or begins
        exchange = Exchange(due=due, pipeline=self)
        self._under_way.append(exchange)
        self.due = min(self.due, due)
        try:
            if begins:
                exchange.wanted.append(False)
                self._pgconn.send_query_params(_begin(self.raw), None)
            for query, values in queries:
                self._send(exchange, query, values)
            self._pgconn.pipeline_sync()
            self.unsent = self._pgconn.flush() != 0
        except psycopg.Error as error:
            self.lose(error)
        return exchange

    def pump(self) -> None:
        """Move bytes both ways."""
        try:
            pgconn = self._pgconn
            self.unsent = pgconn.flush() != 0
            pgconn.consume_input()
            while self._under_way and not pgconn.is_busy():
                if (result := pgconn.get_result()) is not None:
                    self._take(result)
        except psycopg.Error as error:
            self.lose(error)

    def finish(self) -> None:
        """Wait for all that is under way, for somebody who wants the connection for himself."""
        connection = self._connection
        assert connection is not None
        if connection.connection is not self.raw or self.raw.closed:
            self.lose(psycopg.OperationalError("it was closed"))
        elif self._under_way:
            wait(self._under_way[-1])
        connection.ensure_connection()

    def lose(self, error: psycopg.Error) -> None:
        """Give up the connection, and with it all that is under way."""
        connection = self._connection
        assert connection is not None
        lost = ConnectionLost(
            f"connection to {connection.alias!r} lost: {error}", store=connection.alias
        )
        lost.__cause__ = error
        if connection.connection is self.raw:
            connection.close()
        self._end(lost)

    def _enter(self, connection: BaseDatabaseWrapper) -> bool:
        """Whether what is sent next is outside of any transaction."""
        if self._under_way:
            return True
        self._in_block = self._pgconn.transaction_status != TransactionStatus.IDLE
        self._connection = connection
        # Whoever wants the connection for himself asks for this first, Django's cursors included.
        connection.ensure_connection = self.finish  # type: ignore[method-assign]
        self._pgconn.enter_pipeline_mode()
        return not self._in_block

    def _query(self, statement: Statement) -> tuple[Prepared, Sequence[Any] | None]:
        count = len(statement.params)
        if not count:
            return (statement.sql.encode(), ()), None
        text, placeholders = _numbered(statement.sql)
        if placeholders != count:
            raise TypeError(f"{placeholders} placeholders for {count} parameters")
        values = self._transformer.dump_sequence(statement.params, (PyFormat.TEXT,) * count)
        return (text, self._transformer.types or ()), values

    def _send(self, exchange: Exchange, query: Prepared, values: Sequence[Any] | None) -> None:
        if values is None or self.raw.prepare_threshold is None:
            self._pgconn.send_query_params(query[0], values, query[1])
        elif query in self._prepared:
            self._pgconn.send_query_prepared(self._prepared[query], values)
        elif len(self._prepared) < PREPARED_MAX:
            name = self._prepared[query] = b"concord_%d" % next(self._numbers)
            exchange.preparing.append(query)
            exchange.wanted.append(False)
            self._pgconn.send_prepare(name, *query)
            self._pgconn.send_query_prepared(name, values)
        else:
            self._pgconn.send_query_params(query[0], values, query[1])
        exchange.wanted.append(True)

    def _take(self, result: PGresult) -> None:
        exchange, status = self._under_way[0], result.status
        if status == ExecStatus.PIPELINE_SYNC:
            self._under_way.popleft()
            exchange.end()
            if self._under_way:
                self.due = min(each.due for each in self._under_way)
            else:
                self._pgconn.exit_pipeline_mode()
                self._end(None)
        elif status == ExecStatus.FATAL_ERROR:
            self._refused(exchange, result)
        elif exchange.error is None and exchange.wanted.popleft() and not exchange.unheard:
            exchange.collected.append(self._reply(result, status))

    def _refused(self, exchange: Exchange, result: PGresult) -> None:
        connection = self._connection
        assert connection is not None
        error = psycopg.errors.error_from_result(result, encoding="utf-8")
        for query in exchange.preparing:
            self._prepared.pop(query, None)  # behind the refusal it was never prepared
        if error.sqlstate in FORGOTTEN:
            self._prepared.clear()
        translated = translate(error, connection=connection)
        translated.__cause__ = error
        if isinstance(translated, ConnectionLost):
            self._end(translated)
        elif exchange.error is None:
            exchange.error = translated

    def _end(self, lost: ConnectionLost | None) -> None:
        while self._under_way:
            assert lost is not None
            self._under_way.popleft().fail(lost)
        self.due = math.inf
        if self._connection is not None:
            self._connection.__dict__.pop("ensure_connection", None)
            self._connection = None

    def _reply(self, result: PGresult, status: int) -> Reply:
        rows: list[tuple[Any, ...]] = []
        if status == ExecStatus.TUPLES_OK and (count := result.ntuples):
            self._transformer.set_pgresult(result)
            rows = self._transformer.load_rows(0, count, tuple)
        return Reply(rows, (result.command_status or b"").decode())


def wait(*exchanges: Exchange) -> None:
    """Wait until each is answered or past its deadline, however many connections that takes.

    psycopg's own wait serves one connection, has no deadline, and costs 100 µs more a statement.
    """
    poll = select.poll()
    waiting: dict[int, Exchange] = {}
    for exchange in exchanges:
        if not exchange.answered and (pipeline := exchange.pipeline) is not None:
            # Of several on one connection the last: it is answered after the others.
            waiting[pipeline.socket] = exchange
            poll.register(pipeline.socket, _events(pipeline))
    while waiting:
        due = min(each.pipeline.due for each in waiting.values() if each.pipeline)
        left_ms = (due - time.monotonic()) * 1000
        for socket, _ in poll.poll(max(0.0, left_ms)):
            exchange = waiting[socket]
            assert exchange.pipeline is not None
            exchange.pipeline.pump()
            if exchange.answered:
                poll.unregister(socket)
                del waiting[socket]
            else:
                poll.modify(socket, _events(exchange.pipeline))
        if left_ms <= 0:
            _expire(waiting, poll)


def _events(pipeline: Pipeline) -> int:
    return select.POLLIN | (select.POLLOUT if pipeline.unsent else 0)


def _expire(waiting: dict[int, Exchange], poll: "select.poll") -> None:
    now = time.monotonic()
    for socket, exchange in list(waiting.items()):
        if exchange.pipeline is not None and exchange.pipeline.due <= now:
            poll.unregister(socket)
            del waiting[socket]
            exchange.pipeline.lose(psycopg.OperationalError("no answer within the deadline"))


def log_unheard(error: Exception) -> None:
    """Tell of a statement whose sender has gone on."""
    logger.warning("what was sent without waiting did not take effect: %s", error)


@cache
def _numbered(sql: str) -> tuple[bytes, int]:
    """The text with PostgreSQL's numbered placeholders for psycopg's, and how many there are."""
    # Remembered for ever: texts with parameters are few, those without may hold an id.
    parts = sql.split("%s")
    numbered = "".join(f"${number}{part}" for number, part in enumerate(parts) if number)
    return (parts[0] + numbered).replace("%%", "%").encode(), len(parts) - 1


def _begin(raw: psycopg.Connection[Any]) -> bytes:
    level = raw.isolation_level
    if level is None:
        return b"BEGIN"
    return b"BEGIN ISOLATION LEVEL " + level.name.replace("_", " ").encode()
