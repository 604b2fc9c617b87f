"""Counters in the project's own SQLite file: single host, no server.

They are in the file that Django writes, on Django's connection, so that a change inside the
caller's `atomic()` is part of it. Else a call is a transaction of its own. SQLite lets one writer
in at a time, so a counter with `shards` is one row as well. The decision is Python's.
"""

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from random import random
from typing import Any

from coordination import conf
from coordination.connections.sqlite import DEADLINE_MS
from coordination.connections.sqlite_django import DjangoFile
from coordination.counters.events import note_of, past
from coordination.counters.holding import Room
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
from coordination.exceptions import CoordinationError
from coordination.kernel.settings import StoreSettings

EVENTS_KEPT = 100_000
TIDY_SHARE = 0.01
"""Of the changes, how many forget old answers and events, too."""

# As the first statement it takes the right to write; a read before it might see what is old then.
ENTER = "UPDATE concord_counter SET value = value WHERE name = ?"
KNOWN = """
SELECT ending, value, version, said FROM concord_counter_answer
WHERE name = ? AND call = ? AND until_us > ?
"""
READ = "SELECT value, version FROM concord_counter WHERE name = ? AND shard = 0"
HELD = """
SELECT coalesce(sum(min(amount, 0)), 0), coalesce(sum(max(amount, 0)), 0)
FROM concord_counter_hold WHERE name = ?
"""
WRITE = """
INSERT INTO concord_counter (name, shard, value, version) VALUES (?, 0, ?, ?)
ON CONFLICT (name, shard) DO UPDATE SET value = excluded.value, version = excluded.version
"""
TELL = """
INSERT INTO concord_counter_event (kind, name, version, at_us, node, call, before, after, note)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
REMEMBER = """
INSERT OR REPLACE INTO concord_counter_answer
    (name, call, ending, value, version, said, until_us) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
HISTORY = """
SELECT kind, version, at_us, node, call, before, after, note FROM concord_counter_event
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
        self.deadline_ms: int = limits.get("deadline_ms", DEADLINE_MS)
        self.node = node
        self.file = DjangoFile(settings.using, store=settings.alias)

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        """As `DjangoFile.transaction`."""
        return self.file.transaction(self.deadline_ms)

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """As `DjangoFile.reading`."""
        return self.file.reading(self.deadline_ms)

    def cell(self, rules: Rules) -> "SqliteCell":
        """One counter; nothing is sent."""
        return SqliteCell(self, rules)


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
                json.loads(note) | {"id": call, "before": before, "after": after},
                kind=kind,
                version=version,
                at_us=at_us,
                node=node,
            )
            for kind, version, at_us, node, call, before, after, note in rows
        ]

    def _apply(self, changes: Sequence[Change]) -> list[Answer]:
        joined = self._store.file.joined
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
        answer = decide(self._rules, stands, change, room(raw, name))
        if answer.ending is Ending.DONE:
            raw.execute(WRITE, (name, answer.value, answer.version))
            said = (KINDS[change.verb], name, answer.version, now_us, self._store.node, change.id)
            note = json.dumps(note_of(self._rules, change))
            raw.execute(TELL, (*said, stands.value, answer.value, note))
        # A call without an op id is never repeated: its end is known when it returns.
        if change.op_id:
            until_us = now_us + conf.current().op_id_ttl_ms * 1_000
            ending, *rest = answer
            raw.execute(REMEMBER, (name, change.id, ending.value, *rest, until_us))
        return answer

    def _stands(self, raw: sqlite3.Connection) -> Reading:
        found = raw.execute(READ, (self._rules.name,)).fetchone()
        return Reading(self._rules.initial, 0) if found is None else Reading(*found)


def room(raw: sqlite3.Connection, name: str) -> Room:
    """What open transactions hold of a counter."""
    return Room(*raw.execute(HELD, (name,)).fetchone())


def _now_us() -> int:
    return time.time_ns() // 1_000
