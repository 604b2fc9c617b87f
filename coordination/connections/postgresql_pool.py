"""A few PostgreSQL connections of this process to one alias, none of them Django's.

A connection inherited over a fork hands one process the replies of another, so the pool belongs to
a pid and is emptied in every forked child before any other code of it runs.
"""

import contextlib
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from typing import Any

from django.db import connections
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.signals import connection_created

from coordination.connections.database_errors import StatementRefused
from coordination.connections.postgresql_wire import Row, Target, Wire, WireLost, target_of
from coordination.exceptions import InvalidArgument, OutcomeUnknown, StoreUnavailable

OPEN_MAX = 16
"""Connections a process has open to one alias for calls; whoever needs another waits for it."""
IDLE_S = 60.0
"""After which a connection that was not needed is closed."""
CONNECT_MS = 5_000
DEADLINE_MS = 2_000
LATE_MAX, LATE_S = 4, 10.0
"""Statements that nobody waits for: so many, and for so long, before the connection is given up."""
TRIES = 3
RETRYABLE = ("40001", "40P01")
"""Serialization failure and deadlock: nothing took effect, and the next try may well succeed."""

Value = str | int | None
__all__ = ["CONNECT_MS", "DEADLINE_MS", "Pool", "Row", "Sent", "Value", "drop_all"]


class Pool:
    """Connections to one alias, last used first so that the rest can go cold."""

    def __init__(self, alias: str, *, store: str, connect_ms: int = CONNECT_MS) -> None:
        """Describe it; nothing is opened before the first call. `store` is for errors."""
        if alias not in connections.settings:
            raise InvalidArgument(f"DATABASES has no alias {alias!r}.", store=store)
        self._alias = alias
        self._store = store
        self._connect_s = connect_ms / 1000
        self._target: Target | None = None
        self._place: tuple[Any, ...] = ()
        self._idle: deque[Wire] = deque()
        self._late: deque[Sent] = deque()
        self._start_afresh()
        # A pool that nobody holds any more closes its connections.
        weakref.finalize(self, _close, self._idle).atexit = False
        _pools.add(self)

    def _start_afresh(self) -> None:
        self._pid = os.getpid()
        self._idle.clear()
        self._late.clear()
        self._free = threading.BoundedSemaphore(OPEN_MAX)

    def run(self, sql: str, params: Sequence[Value], *, deadline_ms: int) -> list[Row]:
        """Run one statement on a connection of its own, in autocommit; its rows as text.

        Raises StoreUnavailable when it was not applied, OutcomeUnknown when it was sent and not
        answered in time, StatementRefused with an error that the statement itself raised (CL...).
        """
        until = time.monotonic() + deadline_ms / 1000
        query, values = sql.encode(), [_packed(value) for value in params]
        for _ in range(TRIES):
            try:
                return self._run(query, values, until)
            except StatementRefused as refused:
                if refused.sqlstate.startswith("CL"):
                    raise
                error = refused
                if refused.sqlstate not in RETRYABLE:
                    break
        raise self._refused(error) from error

    def begin(self, sql: str, params: Sequence[Value]) -> "Sent | None":
        """Send one statement without waiting, where that can be done now; else None.

        Now: a connection is idle that has run the statement before.
        """
        if self._pid != os.getpid():
            self.forget()
        if self._late:
            self._collect()
        free = self._free
        if not free.acquire(blocking=False):
            return None
        wire = None
        try:
            wire = self._take_idle()
            if wire is not None and wire.begin(sql.encode(), [_packed(each) for each in params]):
                return Sent(wire, self, free)
        except WireLost:
            # It was dead before: the statement cannot have gone out whole.
            wire = None
        except BaseException:
            if wire is not None:
                wire.close()
            free.release()
            raise
        if wire is not None:
            self._give_back(wire)
        free.release()
        return None

    def let_finish(self, late: "Sent") -> None:
        """Keep the connection of a statement that nobody waits for until it is answered."""
        self._late.append(late)

    def _collect(self) -> None:
        """See which of the late are answered; drop the oldest of many."""
        for _ in range(len(self._late)):
            try:
                late = self._late.popleft()
            except IndexError:
                return
            if late.advance():
                continue
            if len(self._late) >= LATE_MAX or late.at < time.monotonic() - LATE_S:
                late.drop()
            else:
                self._late.append(late)

    def _run(self, query: bytes, values: Sequence[bytes | None], until: float) -> list[Row]:
        if self._pid != os.getpid():
            self.forget()
        free = self._free
        if not free.acquire(timeout=max(0.0, until - time.monotonic())):
            raise self._not_sent(f"all {OPEN_MAX} connections are in use")
        try:
            wire = self._take(until)
            try:
                rows = wire.run(query, values, until)
            except StatementRefused:
                self._give_back(wire)
                raise
            except BaseException:
                # A reply that is still to come belongs to nobody.
                wire.close()
                raise
            self._give_back(wire)
        except WireLost as lost:
            raise self._unknown(lost) from lost
        finally:
            free.release()
        return rows

    def open(self, until: float) -> Wire:
        """A connection of the caller's own, not counted. Raises WireLost."""
        return Wire(self._aim(), min(until, time.monotonic() + self._connect_s))

    def _take(self, until: float) -> Wire:
        if (wire := self._take_idle()) is not None:
            return wire
        try:
            return self.open(until)
        except WireLost as lost:
            raise self._not_sent(str(lost)) from lost

    def _take_idle(self) -> Wire | None:
        self._aim()
        while True:
            try:
                wire = self._idle.pop()
            except IndexError:
                return None
            if wire.usable():
                return wire
            wire.close()

    def _give_back(self, wire: Wire) -> None:
        now = wire.used_at = time.monotonic()
        self._idle.append(wire)
        while self._idle and self._idle[0].used_at < now - IDLE_S:
            try:
                self._idle.popleft().close()
            except IndexError:
                break

    def drop(self) -> None:
        """Close the idle connections, and those whose answer nobody waits for."""
        _close(self._idle)
        while self._late:
            with contextlib.suppress(IndexError):
                self._late.popleft().drop()

    def forget(self) -> None:
        """In a forked child: let go of the parent's connections without a word to the server."""
        for wire in (*self._idle, *(late.wire for late in self._late)):
            wire.abandon()
        self._start_afresh()

    def _aim(self) -> Target:
        """Where to connect; elsewhere than before when Django's settings have changed."""
        settings = connections.settings[self._alias]
        place = tuple(settings[key] for key in ("NAME", "HOST", "PORT", "USER"))
        place += (settings["OPTIONS"].get("prepare_threshold"),)
        if self._target is None or place != self._place:
            self.drop()
            self._place, self._target = place, target_of(self._alias)
        return self._target

    def _where(self) -> str:
        return f"Store {self._store!r} in database {self._alias!r}"

    def _not_sent(self, why: str) -> StoreUnavailable:
        return StoreUnavailable(
            f"{self._where()}: nothing was sent: {why}.", store=self._store, reason=why
        )

    def _unknown(self, lost: WireLost) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"{self._where()}: its outcome is unknown: {lost}.", store=self._store, reason=str(lost)
        )

    def _refused(self, refusal: StatementRefused) -> StoreUnavailable:
        hint = ""
        if refusal.sqlstate in ("42883", "42P01"):
            hint = f" Run manage.py migrate --database={self._alias}."
        return StoreUnavailable(
            f"{self._where()} refused: {refusal}.{hint}", store=self._store, reason=str(refusal)
        )


class Sent:
    """A statement that was sent, and its rows to come. One thread uses it."""

    def __init__(self, wire: Wire, pool: Pool, free: threading.BoundedSemaphore) -> None:
        self.at = time.monotonic()
        self._pid = os.getpid()
        self.wire = wire
        self._pool = pool
        self._free = free
        self._rows: list[Row] | None = None
        self._error: StatementRefused | WireLost | None = None
        self._over = False

    @property
    def is_unsent(self) -> bool:
        """Whether some of the statement waits for room."""
        return self.wire.is_unsent

    def fileno(self) -> int:
        """The socket's."""
        return self.wire.fileno()

    def advance(self) -> bool:
        """Take what has come, without waiting; True once it is over."""
        if self._over:
            return True
        try:
            self._rows = self.wire.advance()
        except WireLost as lost:
            self._error = lost
            self.drop()
            return True
        except StatementRefused as refused:
            self._error = refused
        if self._rows is None and self._error is None:
            return False
        self._over = True
        self._pool._give_back(self.wire)
        self._free.release()
        return True

    def rows(self) -> list[Row] | None:
        """The rows; None when it was refused: then nothing took effect, and `run` tells why.

        Raises OutcomeUnknown when the connection was lost.
        """
        if isinstance(self._error, WireLost):
            raise self._pool._unknown(self._error) from self._error
        return self._rows

    def leave(self) -> None:
        """Let the answer come when it may; the connection serves again after it."""
        if not self._over:
            self._pool.let_finish(self)

    def drop(self) -> None:
        """End the connection."""
        self._over = True
        self.wire.close()
        self._free.release()

    def __del__(self) -> None:
        """Whoever was interrupted before it waited or left gives the place back."""
        if not self._over and self._pid == os.getpid():
            self.drop()


def _packed(value: Value) -> bytes | None:
    if value is None:
        return None
    # As PostgreSQL takes text: no NUL, no lone surrogate.
    return str(value).replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace")


def _close(idle: deque[Wire]) -> None:
    while True:
        try:
            idle.pop().close()
        except IndexError:
            return


_pools: "weakref.WeakSet[Pool]" = weakref.WeakSet()


def drop_all(**_: Any) -> None:
    """Close the idle connections of this process."""
    for pool in list(_pools):
        pool.drop()


def _forget_all() -> None:
    for pool in list(_pools):
        pool.forget()


def _before_a_database_is_dropped(*, connection: Any, **_: Any) -> None:
    # Django connects so only to create or drop a test's database, which nobody may be in.
    if connection.alias == NO_DB_ALIAS:
        drop_all()


os.register_at_fork(after_in_child=_forget_all)
connection_created.connect(
    _before_a_database_is_dropped, dispatch_uid="coordination.connections.postgresql_pool"
)
