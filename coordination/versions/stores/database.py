"""Optimistic names in a database: the check is the last statement of the attempt's transaction.

It runs on Django's connection of the alias, so a conflict undoes everything the body did there. On
PostgreSQL the write waits for whoever writes the same name and then compares with what that one
committed (READ COMMITTED); under stricter isolation the server refuses it itself. SQLite lets one
writer in at a time and refuses one that read before another committed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import django.db
from django.db import connections, transaction

from coordination import conf
from coordination.connections import database, deadlines
from coordination.connections.database import ConnectionLost, Statement, StatementRefused
from coordination.connections.deadlines import bounded_atomic, unbounded
from coordination.exceptions import ConflictError, OutcomeUnknown, StoreUnavailable
from coordination.versions.stores.statements import Statements, Text, statements_of
from coordination.versions.types import ABSENT, Conflicted, Seen

CONFLICTS = ("40001", "40P01")
"""SQLSTATEs of what may succeed when it is tried again: a serialization failure, a deadlock."""
SQLITE_BUSY, SQLITE_LOCKED = 5, 6
TRIED_IN_VAIN = ("repeatable read", "serializable")
"""Isolation levels at which a transaction never sees what others commit after its start."""

ISOLATION = Text("SELECT current_setting('transaction_isolation')", ())

Rows = Sequence[tuple[Any, ...]]


class DatabaseVersions:
    """Names of one alias; see `coordination.versions.store.VersionStore` for the verbs."""

    def __init__(self, alias: str, *, using: str) -> None:
        self.alias = alias
        self._using = using

    @contextmanager
    def block(self) -> Iterator[None]:
        """`atomic()` on the alias; a savepoint of the transaction that is open, if there is one."""
        ended: list[str] | None = None
        try:
            with bounded_atomic(self._using):
                ended = []
                # The first to hear of the commit: what comes after it is not the attempt's.
                transaction.on_commit(partial(self._committed, ended), using=self._using)
                yield
                ended.append("body")
        except (django.db.OperationalError, django.db.InterfaceError) as error:
            if ended is None:
                raise self._unavailable(error) from error
            if ended != ["body"]:
                raise
            if self.is_conflict(error):
                raise Conflicted from error
            raise OutcomeUnknown(
                f"Whether database {self._using!r} committed is unknown: {error}",
                store=self.alias,
                reason=str(error),
            ) from error

    def _committed(self, ended: list[str]) -> None:
        ended.append("committed")
        unbounded(self._using)

    def may_see_newer(self) -> bool:
        """Unless it is inside a transaction whose view of the database stands still."""
        connection = connections[self._using]
        if len(connection.atomic_blocks) < 2:
            return True
        if connection.vendor != "postgresql":
            return False
        ((level,),) = self._run(ISOLATION)
        return level not in TRIED_IN_VAIN

    def read(self, name: str) -> Seen:
        """The name as it stands."""
        try:
            rows = self._run(self._statements.read, name=name)
        except (StatementRefused, django.db.DatabaseError) as error:
            raise self._unavailable(error) from error
        if not rows:
            return ABSENT
        version, value = rows[0]
        return Seen(version=version, value="null" if value is None else value)

    def write(self, name: str, seen: Seen, value: str, *, call: str) -> bool:
        """Write the next version, unless it is no longer as `seen`; False then."""
        texts = self._statements.update if seen.version else self._statements.insert
        known = {"name": name, "value": value, "version": seen.version}
        return self._holds(texts, **known, node=conf.current().node, bytes=len(value))

    def stands(self, name: str, seen: Seen) -> bool:
        """Whether it is still as `seen`, and stays so until the commit."""
        texts = self._statements.stands if seen.version else self._statements.absent
        return self._holds(texts, name=name, version=seen.version)

    def is_conflict(self, error: BaseException) -> bool:
        """A stale VersionedModel, or a refusal that the next attempt may not meet."""
        if isinstance(error, ConflictError):
            return True
        if isinstance(error, StatementRefused):
            return error.sqlstate in CONFLICTS
        if not isinstance(error, django.db.DatabaseError):
            return False
        cause = error.__cause__
        if getattr(cause, "sqlstate", None) in CONFLICTS:
            return True
        # The extended codes (SQLITE_BUSY_SNAPSHOT) have the plain one in their last byte.
        code = getattr(cause, "sqlite_errorcode", 0)
        return code & 0xFF in (SQLITE_BUSY, SQLITE_LOCKED)

    @property
    def _statements(self) -> Statements:
        coordinator = self._using == conf.current().transactions.using
        return statements_of(connections[self._using].vendor, with_events=coordinator)

    def _holds(self, texts: Sequence[Text], **known: Any) -> bool:
        # A body that swallowed a database error left a block that can only be rolled back; Django
        # would do so at its end without a word.
        connections[self._using].validate_no_broken_transaction()
        try:
            return bool(self._run(*texts, **known))
        except (StatementRefused, django.db.DatabaseError) as error:
            if self.is_conflict(error):
                return False
            raise self._unavailable(error) from error

    def _run(self, *texts: Text, **known: Any) -> Rows:
        """The rows of the last of them."""
        calls = [(text.sql, [known[name] for name in text.takes]) for text in texts]
        if connections[self._using].vendor == "postgresql":
            # It has a deadline, which a cursor has not.
            return self._sent([Statement(sql, params) for sql, params in calls])
        with connections[self._using].cursor() as cursor:
            for sql, params in calls:
                cursor.execute(sql, params)
            return list(cursor.fetchall())

    def _sent(self, statements: Sequence[Statement]) -> Rows:
        deadline_ms = deadlines.STATEMENT_MS
        try:
            return database.run(self._using, *statements, deadline_ms=deadline_ms)[-1].rows
        except ConnectionLost as lost:
            # Before the commit, so that nothing of it will ever be applied.
            raise self._unavailable(lost) from lost

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        told = str(error).strip()
        if "concord_optimistic" in told:
            told += f" (run `migrate --database={self._using} coordination`)"
        return StoreUnavailable(f"database {self._using!r}: {told}", store=self.alias, reason=told)
