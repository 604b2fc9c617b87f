"""Counters in the project's own SQLite file: single host, no server.

They are in the file that Django writes, on Django's connection, so that a change inside the
caller's `atomic()` is part of it. Else a call is a transaction of its own. SQLite lets one writer
in at a time, so a counter with `shards` is one row as well. The decision is Python's.
"""

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from random import random
from typing import Any

import django.db
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from coordination import conf
from coordination.connections import database
from coordination.connections.sqlite import DEADLINE_MS
from coordination.counters.events import past
from coordination.counters.machine import decide
from coordination.counters.types import (
    KINDS,
    Answer,
    Change,
    Ending,
    Past,
    Reading,
    Rules,
)
from coordination.exceptions import CoordinationError, OutcomeUnknown, StoreUnavailable
from coordination.kernel.settings import StoreSettings

EVENTS_KEPT = 100_000
TIDY_SHARE = 0.01
"""Of the changes, how many forget old answers and events, too."""
DJANGO_TIMEOUT_MS = 5_000
"""How long Python's sqlite3 waits for others who write, unless OPTIONS say otherwise."""

# As the first statement it takes the right to write; a read before it might see what is old then.
ENTER = "UPDATE concord_counter SET value = value WHERE name = ?"
KNOWN = """
SELECT ending, value, version, said FROM concord_counter_answer
WHERE name = ? AND call = ? AND until_us > ?
"""
READ = "SELECT value, version FROM concord_counter WHERE name = ? AND shard = 0"
WRITE = """
INSERT INTO concord_counter (name, shard, value, version) VALUES (?, 0, ?, ?)
ON CONFLICT (name, shard) DO UPDATE SET value = excluded.value, version = excluded.version
"""
TELL = """
INSERT INTO concord_counter_event (kind, name, version, at_us, node, call, before, after)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
REMEMBER = """
INSERT OR REPLACE INTO concord_counter_answer
    (name, call, ending, value, version, said, until_us) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
HISTORY = """
SELECT kind, version, at_us, node, call, before, after FROM concord_counter_event
WHERE name = ? ORDER BY version DESC, position DESC LIMIT ?
"""
FORGET = """
DELETE FROM concord_counter_answer WHERE rowid IN
    (SELECT rowid FROM concord_counter_answer WHERE until_us <= ? ORDER BY until_us LIMIT 1000)
"""
PRUNE = """
DELETE FROM concord_counter_event
WHERE position <= (SELECT max(position) FROM concord_counter_event) - ?
"""


class SqliteCounters:
    """Counters of one database store; see `coordination.counters.store.CounterStore`."""

    def __init__(self, settings: StoreSettings, *, node: str) -> None:
        limits: Mapping[str, Any] = settings.options
        self.alias = settings.alias
        self.using = settings.using
        self.deadline_ms: int = limits.get("deadline_ms", DEADLINE_MS)
        self.node = node

    def cell(self, rules: Rules) -> "SqliteCell":
        """One counter; nothing is sent."""
        return SqliteCell(self, rules)

    @property
    def joined(self) -> bool:
        """Whether the caller has a transaction open there."""
        return database.in_transaction(self.using)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The caller's transaction, or else one of its own that the end of the block commits.

        Raises StoreUnavailable when it did not take place, OutcomeUnknown when its end is unknown.
        """
        connection = connections[self.using]
        joined = self.joined
        try:
            connection.ensure_connection()
        except django.db.DatabaseError as error:
            raise self._unavailable(error) from error
        with self._patient(connection.connection):
            if joined:
                yield from self._joined(connection)
            else:
                with self._own(connection.connection) as raw:
                    yield raw

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """What is read in it, in whichever transaction. Raises StoreUnavailable."""
        connection = connections[self.using]
        try:
            connection.ensure_connection()
            with self._patient(connection.connection):
                yield connection.connection
        except (sqlite3.Error, django.db.DatabaseError) as error:
            raise self._unavailable(error) from error

    def _joined(self, connection: BaseDatabaseWrapper) -> Iterator[sqlite3.Connection]:
        # Of a block that can only be rolled back, what is written would be lost without a word.
        connection.validate_no_broken_transaction()
        try:
            yield connection.connection
        except sqlite3.Error as error:
            # What came before the error may have been written.
            connection.needs_rollback = connection.in_atomic_block
            raise self._unavailable(error) from error

    @contextmanager
    def _patient(self, raw: sqlite3.Connection) -> Iterator[None]:
        """Wait for others no longer than the deadline."""
        options = connections.settings[self.using]["OPTIONS"]
        former_ms = int(float(options.get("timeout", DJANGO_TIMEOUT_MS / 1000)) * 1000)
        raw.execute(f"PRAGMA busy_timeout = {min(former_ms, self.deadline_ms)}")
        try:
            yield
        finally:
            with suppress(sqlite3.Error):
                raw.execute(f"PRAGMA busy_timeout = {former_ms}")

    @contextmanager
    def _own(self, raw: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        try:
            raw.execute("BEGIN IMMEDIATE")
            yield raw
        except BaseException as error:
            self._roll_back(raw)
            if isinstance(error, sqlite3.Error):
                raise self._unavailable(error) from error
            raise
        try:
            raw.execute("COMMIT")
        except sqlite3.Error as error:
            if raw.in_transaction and self._roll_back(raw):
                raise self._unavailable(error) from error
            raise OutcomeUnknown(
                f"Store {self.alias!r}: its outcome is unknown: {error}.",
                store=self.alias,
                reason=str(error),
            ) from error

    def _roll_back(self, raw: sqlite3.Connection) -> bool:
        """Whether nothing is left of it."""
        try:
            if raw.in_transaction:
                raw.execute("ROLLBACK")
        except sqlite3.Error:
            # What was not committed goes with the connection.
            connections[self.using].close()
            return False
        return True

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        told = str(error)
        if "no such table" in told:
            told += f" (run `migrate --database={self.using} coordination`)"
        return StoreUnavailable(
            f"Store {self.alias!r} in database {self.using!r}: not applied: {told}.",
            store=self.alias,
            reason=told,
        )


class SqliteCell:
    """One counter; see `coordination.counters.store.Cell` for the verbs."""

    def __init__(self, store: SqliteCounters, rules: Rules) -> None:
        self._store = store
        self._rules = rules

    def read(self) -> Reading:
        """As it stands."""
        with self._store.reading() as raw:
            return self._stands(raw)

    def change(self, change: Change) -> Answer:
        """Apply it; or the answer that the first call with its id got."""
        (answer,) = self._apply([change])
        return answer

    def change_many(self, changes: Sequence[Change]) -> list[Answer | CoordinationError]:
        """Apply several in this order and in one transaction, each by itself."""
        return [*self._apply(changes)]

    def history(self, limit: int) -> list[Past]:
        """The last changes of which the events are kept, the newest first."""
        with self._store.reading() as raw:
            rows = raw.execute(HISTORY, (self._rules.name, limit)).fetchall()
        return [
            past(
                {"id": call, "before": before, "after": after},
                kind=kind,
                version=version,
                at_us=at_us,
                node=node,
            )
            for kind, version, at_us, node, call, before, after in rows
        ]

    def _apply(self, changes: Sequence[Change]) -> list[Answer]:
        joined = self._store.joined
        with self._store.transaction() as raw:
            raw.execute(ENTER, (self._rules.name,))
            answers = [self._applied(raw, change) for change in changes]
            if not joined and random() < TIDY_SHARE * len(changes):  # noqa: S311
                raw.execute(FORGET, (_now_us(),))
                raw.execute(PRUNE, (EVENTS_KEPT,))
        return answers

    def _applied(self, raw: sqlite3.Connection, change: Change) -> Answer:
        name, now_us = self._rules.name, _now_us()
        known = raw.execute(KNOWN, (name, change.id, now_us)).fetchone()
        if known is not None:
            ending, value, version, said = known
            return Answer(Ending(ending), value, version, said)
        stands = self._stands(raw)
        answer = decide(self._rules, stands, change)
        if answer.ending is Ending.DONE:
            raw.execute(WRITE, (name, answer.value, answer.version))
            said = (KINDS[change.verb], name, answer.version, now_us, self._store.node, change.id)
            raw.execute(TELL, (*said, stands.value, answer.value))
        # A call without an op id is never repeated: its end is known when it returns.
        if change.op_id:
            until_us = now_us + conf.current().op_id_ttl_ms * 1_000
            ending, *rest = answer
            raw.execute(REMEMBER, (name, change.id, ending.value, *rest, until_us))
        return answer

    def _stands(self, raw: sqlite3.Connection) -> Reading:
        found = raw.execute(READ, (self._rules.name,)).fetchone()
        return Reading(self._rules.initial, 0) if found is None else Reading(*found)


def _now_us() -> int:
    return time.time_ns() // 1_000
