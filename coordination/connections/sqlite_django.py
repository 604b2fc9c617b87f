"""The file that Django writes, for a call of ours: on Django's connection of this thread.

Inside the caller's `atomic()` a call is part of it. Else it is a transaction of its own, which
waits for others that write no longer than its deadline, or than Django would.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import django.db
from django.db import connections

from coordination.connections import database
from coordination.exceptions import OutcomeUnknown, StoreUnavailable

DJANGO_TIMEOUT_MS = 5_000
"""How long Python's sqlite3 waits for others who write, unless OPTIONS say otherwise."""


class DjangoFile:
    """One alias that is a SQLite file."""

    def __init__(self, using: str, *, store: str) -> None:
        """Nothing is opened. `store` is for errors."""
        self._using = using
        self._store = store

    @property
    def joined(self) -> bool:
        """Whether the caller has a transaction open there."""
        return database.in_transaction(self._using)

    @contextmanager
    def transaction(self, deadline_ms: int) -> Iterator[sqlite3.Connection]:
        """The caller's transaction, or else one that writes and that the end of the block commits.

        Raises StoreUnavailable when it did not take place, OutcomeUnknown when its end is unknown.
        """
        connection, joined = self._opened(), self.joined
        raw: sqlite3.Connection = connection.connection
        turn = self._joined(connection) if joined else self._own(raw)
        with self._patient(raw, deadline_ms), turn:
            yield raw

    @contextmanager
    def reading(self, deadline_ms: int) -> Iterator[sqlite3.Connection]:
        """What is read in it, in whichever transaction. Raises StoreUnavailable."""
        raw: sqlite3.Connection = self._opened().connection
        with self._patient(raw, deadline_ms):
            try:
                yield raw
            except sqlite3.Error as error:
                raise self._unavailable(error) from error

    @contextmanager
    def _joined(self, connection: Any) -> Iterator[None]:
        # Of a block that can only be rolled back, what is written would be lost without a word.
        connection.validate_no_broken_transaction()
        try:
            yield
        except sqlite3.Error as error:
            # What came before the error may have been written.
            connection.needs_rollback = connection.in_atomic_block
            raise self._unavailable(error) from error

    def _opened(self) -> Any:
        connection = connections[self._using]
        try:
            connection.ensure_connection()
        except django.db.DatabaseError as error:
            raise self._unavailable(error) from error
        return connection

    @contextmanager
    def _patient(self, raw: sqlite3.Connection, deadline_ms: int) -> Iterator[None]:
        options = connections.settings[self._using]["OPTIONS"]
        former_ms = int(float(options.get("timeout", DJANGO_TIMEOUT_MS / 1000)) * 1000)
        raw.execute(f"PRAGMA busy_timeout = {min(former_ms, deadline_ms)}")
        try:
            yield
        finally:
            with suppress(sqlite3.Error):
                raw.execute(f"PRAGMA busy_timeout = {former_ms}")

    @contextmanager
    def _own(self, raw: sqlite3.Connection) -> Iterator[None]:
        try:
            # Not DEFERRED: who reads first, and then may not write, has waited for nothing.
            raw.execute("BEGIN IMMEDIATE")
            yield
        except BaseException as error:
            self._roll_back(raw, error)
            if isinstance(error, sqlite3.Error):
                raise self._unavailable(error) from error
            raise
        try:
            raw.execute("COMMIT")
        except sqlite3.Error as error:
            if not raw.in_transaction:
                # SQLite ended it by itself: its last page may have reached the disk, or not.
                raise self._unknown(error) from error
            self._roll_back(raw, error)
            raise self._unavailable(error) from error

    def _roll_back(self, raw: sqlite3.Connection, error: BaseException) -> None:
        try:
            if raw.in_transaction:
                raw.execute("ROLLBACK")
        except sqlite3.Error:
            # What was not committed goes with the connection.
            connections[self._using].close()
            raise self._unknown(error) from error

    def _unknown(self, error: BaseException) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"Store {self._store!r}: its outcome is unknown: {error}.",
            store=self._store,
            reason=str(error),
        )

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        told = str(error)
        if "no such table" in told:
            told += f" (run `migrate --database={self._using} coordination`)"
        return StoreUnavailable(
            f"Store {self._store!r} in database {self._using!r}: not applied: {told}.",
            store=self._store,
            reason=told,
        )
