"""One PostgreSQL connection of our own in autocommit: a statement at a time, each with a deadline.

It is libpq's without Django and without psycopg's connection: neither has a deadline for a server
that is stopped, and a lock must not be part of the caller's transaction.
"""

import itertools
import os
import select
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db import connections
from psycopg import pq
from psycopg.conninfo import make_conninfo
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, PollingStatus, TransactionStatus

from coordination.connections.database_errors import CONNECTION_FAILURES, StatementRefused
from coordination.connections.pipeline import FORGOTTEN

PREPARED_MAX = 100
_FAILED = (ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE, ExecStatus.NONFATAL_ERROR)

Row = tuple[str | None, ...]


class WireLost(Exception):
    """The connection cannot be used: refused, cut, or silent until the deadline."""


@dataclass(frozen=True, slots=True)
class Target:
    """What Django connects an alias to, as libpq takes it."""

    conninfo: bytes
    prepares: bool
    """Whether statements may be prepared by name; not behind every pool."""
    connect_s: float
    role: str


def target_of(alias: str) -> Target:
    """Where Django's settings of the alias lead, in a test to the test's database."""
    wrapper = connections[alias]
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    params: dict[str, Any] = wrapper.get_connection_params()
    info = {key: value for key, value in params.items() if key in known and value is not None}
    return Target(
        conninfo=make_conninfo(**info).encode(),
        prepares=params.get("prepare_threshold") is not None,
        connect_s=float(params.get("connect_timeout") or 0) or float("inf"),
        role=wrapper.settings_dict["OPTIONS"].get("assume_role") or "",
    )


class Wire:
    """One connection with at most one statement under way. Values go and come as text."""

    def __init__(self, target: Target, until: float) -> None:
        """Connect. Raises WireLost when that is not done at `until`, monotonic seconds."""
        self.used_at = time.monotonic()
        self._prepares = target.prepares
        self._prepared: dict[bytes, bytes] = {}
        self._numbers = itertools.count()
        self._last: pq.abc.PGresult | None = None
        self.is_unsent = False
        """Whether some of what was begun waits for room to be written."""
        until = min(until, self.used_at + target.connect_s)
        try:
            # Only the name of a host is looked up without heed of the deadline: by the C library.
            self._pgconn = pq.PGconn.connect_start(target.conninfo)
            self._connect(until)
        except psycopg.Error as error:
            raise WireLost(f"{_words(error)} while connecting") from error
        self._poll = select.poll()
        self._poll.register(self._pgconn.socket, select.POLLIN)
        try:
            if target.role:
                self.run(b"SELECT set_config('role', $1, false)", [target.role.encode()], until)
        except BaseException:
            self.close()
            raise

    def usable(self) -> bool:
        """Tell whether the idle connection is open and clean: a silent one has no event."""
        idle = self._pgconn.transaction_status == TransactionStatus.IDLE
        return idle and not self._poll.poll(0)

    def run(self, sql: bytes, params: Sequence[bytes | None], until: float) -> list[Row]:
        """Run one statement, as a transaction of its own; its rows.

        Raises StatementRefused (nothing took effect), or WireLost: then nothing is known of it.
        """
        try:
            return self._run(sql, params, until)
        except StatementRefused as refusal:
            if refusal.sqlstate not in FORGOTTEN or sql not in self._prepared:
                raise
        # DISCARD, or a table has changed: it did not run, and is prepared anew.
        self._prepared.clear()
        return self._run(sql, params, until)

    def begin(self, sql: bytes, params: Sequence[bytes | None]) -> bool:
        """Send one statement without waiting, and tell so: `advance` takes its rows.

        Not one that is prepared by name and was not yet. Raises WireLost.
        """
        try:
            if not self._prepares:
                self._pgconn.send_query_params(sql, params)
            elif (name := self._prepared.get(sql)) is not None:
                self._pgconn.send_query_prepared(name, params)
            else:
                return False
            self.is_unsent = bool(self._pgconn.flush())
        except psycopg.Error as error:
            self.close()
            raise WireLost(_words(error)) from error
        self._last = None
        return True

    def advance(self) -> list[Row] | None:
        """The rows of what was begun, once all have come; never waits. Raises as `run`."""
        pgconn = self._pgconn
        try:
            pgconn.consume_input()
            self.is_unsent = bool(pgconn.flush())
            while not self.is_unsent and not pgconn.is_busy():
                if (result := pgconn.get_result()) is None:
                    if self._last is None:
                        raise WireLost("no result")
                    return _rows(_checked(self._last))
                self._last = result
        except psycopg.Error as error:
            self.close()
            raise WireLost(_words(error)) from error
        return None

    def fileno(self) -> int:
        """The socket's."""
        return self._pgconn.socket

    def heard(self, until: float) -> Iterator[str]:
        """What notifications say that have come, waiting for the first of them.

        Raises WireLost when the connection is cut.
        """
        pgconn = self._pgconn
        try:
            # One may have come together with the answer to a statement.
            notice = pgconn.notifies()
            if notice is None and self._poll.poll(_left_ms(until)):
                pgconn.consume_input()
                notice = pgconn.notifies()
            while notice is not None:
                yield notice.extra.decode()
                notice = pgconn.notifies()
        except psycopg.Error as error:
            raise WireLost(_words(error)) from error

    def close(self) -> None:
        """End the connection; harmless when it has ended."""
        self._pgconn.finish()

    def abandon(self) -> None:
        """In a forked child: let go of the parent's socket without a word to the server."""
        if self._pgconn.status == ConnStatus.OK:
            os.close(self._pgconn.socket)  # psycopg compares pids and does not say goodbye

    def _connect(self, until: float) -> None:
        while True:
            match self._pgconn.connect_poll():
                case PollingStatus.OK:
                    self._pgconn.nonblocking = 1
                    return
                case PollingStatus.READING:
                    event = select.POLLIN
                case PollingStatus.WRITING:
                    event = select.POLLOUT
                case _:
                    raise psycopg.OperationalError(self._pgconn.get_error_message())
            poll = select.poll()  # the socket may be another one with each step
            poll.register(self._pgconn.socket, event)
            if not poll.poll(_left_ms(until)):
                self.close()
                raise WireLost("no answer in time while connecting")

    def _run(self, sql: bytes, params: Sequence[bytes | None], until: float) -> list[Row]:
        try:
            if self._prepares and (name := self._name(sql, until)) is not None:
                self._pgconn.send_query_prepared(name, params)
            else:
                self._pgconn.send_query_params(sql, params)
            return _rows(self._answer(until))
        except psycopg.Error as error:
            self.close()
            raise WireLost(_words(error)) from error

    def _name(self, sql: bytes, until: float) -> bytes | None:
        name = self._prepared.get(sql)
        if name is None and len(self._prepared) < PREPARED_MAX:
            name = b"concord_lock_%d" % next(self._numbers)
            self._pgconn.send_prepare(name, sql)
            self._answer(until)
            self._prepared[sql] = name
        return name

    def _answer(self, until: float) -> pq.abc.PGresult:
        """The result of what was sent last."""
        pgconn, last = self._pgconn, None
        while True:
            unsent = pgconn.flush()
            while not unsent and not pgconn.is_busy():
                if (result := pgconn.get_result()) is None:
                    if last is None:
                        raise WireLost("no result")
                    return _checked(last)
                last = result
            poll = self._poll
            if unsent:
                poll = select.poll()
                poll.register(pgconn.socket, select.POLLIN | select.POLLOUT)
            if not poll.poll(_left_ms(until)):
                self.close()
                raise WireLost("no answer in time")
            pgconn.consume_input()


def _checked(result: pq.abc.PGresult) -> pq.abc.PGresult:
    if result.status in _FAILED:
        said = result.error_field(DiagnosticField.MESSAGE_PRIMARY) or result.error_message
        message = said.decode(errors="replace")
        sqlstate = (result.error_field(DiagnosticField.SQLSTATE) or b"").decode()
        if not sqlstate or sqlstate.startswith(CONNECTION_FAILURES):
            raise psycopg.OperationalError(message)
        raise StatementRefused(message, sqlstate=sqlstate)
    return result


def _rows(result: pq.abc.PGresult) -> list[Row]:
    columns = range(result.nfields)
    return [
        tuple(
            None if (value := result.get_value(row, column)) is None else value.decode()
            for column in columns
        )
        for row in range(result.ntuples)
    ]


def _left_ms(until: float) -> float:
    return max(0.0, until - time.monotonic()) * 1000


def _words(error: Exception) -> str:
    # libpq's messages take several lines.
    return " ".join(str(error).split()).rstrip(".")
