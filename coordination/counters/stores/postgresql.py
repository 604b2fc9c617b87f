"""Counters in PostgreSQL: one SQL function a call.

Inside the caller's `atomic()` it runs on Django's connection and is part of that transaction: a
rollback undoes it, and others who change the counter wait for the end. Else it runs on a connection
of its own, which has a deadline from connecting on, and is a transaction of its own.
"""

import json
import os
import threading
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from random import random
from typing import Any

from django.db import connections

from coordination import conf
from coordination.connections import database
from coordination.connections.database import ConnectionLost, Statement, StatementRefused
from coordination.connections.postgresql_pool import CONNECT_MS, DEADLINE_MS, Pool
from coordination.counters.events import note_of, past
from coordination.counters.types import (
    KEPT_MS,
    KINDS,
    Answer,
    Change,
    Ending,
    Past,
    Reading,
    Rules,
    Verb,
)
from coordination.exceptions import CoordinationError, InvalidArgument, StoreUnavailable
from coordination.kernel.settings import StoreSettings
from coordination.locks.repeating import repeated

SHARDED = "sharded"
"""What `concord_counter_change` says to who did not declare the shards that the counter has."""
WAIT_SHARE = 0.8
"""Of the deadline, for which a call waits for the counter's row."""
TIDY_SHARE = 0.01
"""Of the calls, how many forget old answers, too; each then forgets more than it made."""

READ = """
SELECT coalesce(sum(value), {})::bigint, coalesce(max(version), 0) FROM concord_counter
WHERE name = {}
"""
HISTORY = """
SELECT kind, version, (extract(epoch FROM at) * 1000000)::bigint, node, data::text
FROM concord_event WHERE object = 'counter' AND name = ANY (string_to_array({}, E'\\n'))
ORDER BY at DESC, version DESC LIMIT {}
"""
CHANGE = """
SELECT * FROM concord_counter_change(
    {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}::jsonb)
"""
CHANGE_MANY = "SELECT * FROM concord_counter_change_many({}, {}, {}, {}, {}, {}::jsonb)"
FORGET = "SELECT concord_counter_forget()"

Value = str | int | None
Rows = Sequence[tuple[Any, ...]]


class PostgresCounters:
    """Counters of one database store; see `coordination.counters.store.CounterStore`."""

    def __init__(self, settings: StoreSettings, *, node: str) -> None:
        limits: Mapping[str, Any] = settings.options
        self.alias = settings.alias
        self.using = settings.using
        self.deadline_ms: int = limits.get("deadline_ms", DEADLINE_MS)
        self.node = f"{self.alias} {node}"
        self._pool = Pool(
            self.using, store=self.alias, connect_ms=limits.get("connect_ms", CONNECT_MS)
        )

    def cell(self, rules: Rules) -> "PostgresCell":
        """One counter; nothing is sent."""
        return PostgresCell(self, rules)

    def run(self, text: str, *params: Value) -> Rows:
        """The rows of a statement, with `{}` for each parameter, in whichever transaction."""
        if self.joined:
            return self._join(text.format(*["%s"] * len(params)), params)
        numbered = text.format(*(f"${number + 1}" for number in range(len(params))))
        return repeated(
            lambda deadline_ms: self._pool.run(numbered, params, deadline_ms=deadline_ms),
            deadline_ms=self.deadline_ms,
        )

    def tidy(self) -> None:
        """Forget old answers."""
        self._pool.run(FORGET, (), deadline_ms=self.deadline_ms)

    @property
    def joined(self) -> bool:
        """Whether the caller has a transaction open there."""
        return database.in_transaction(self.using)

    def _join(self, sql: str, params: Sequence[Value]) -> Rows:
        connection = connections[self.using]
        # Of a block that can only be rolled back, what is written would be lost without a word.
        connection.validate_no_broken_transaction()
        try:
            statement = Statement(sql, params)
            return database.run(self.using, statement, deadline_ms=self.deadline_ms)[0].rows
        except StatementRefused as refused:
            if connection.in_atomic_block:
                connection.needs_rollback = True
            raise self._unavailable(refused, sqlstate=refused.sqlstate) from refused
        except ConnectionLost as lost:
            # Before the commit, so that nothing of it will ever be applied.
            raise self._unavailable(lost) from lost

    def _unavailable(self, error: Exception, *, sqlstate: str = "") -> StoreUnavailable:
        told = str(error)
        if sqlstate in ("42883", "42P01"):
            told += f" (run `migrate --database={self.using} coordination`)"
        return StoreUnavailable(
            f"Store {self.alias!r} in database {self.using!r}: {told}.",
            store=self.alias,
            reason=told,
        )


class PostgresCell:
    """One counter; see `coordination.counters.store.Cell` for the verbs."""

    def __init__(self, store: PostgresCounters, rules: Rules) -> None:
        self._store = store
        self._rules = rules
        limits = f"{{{rules.initial},{rules.lowest},{rules.highest}}}"
        wait_ms = max(1, int(store.deadline_ms * WAIT_SHARE))
        self._common = (store.node, rules.name, rules.shards, limits, wait_ms)

    def read(self) -> Reading:
        """As it stands; of several rows their sum, all of one moment."""
        ((value, version),) = self._store.run(READ, self._rules.initial, self._rules.name)
        return Reading(int(value), int(version))

    def change(self, change: Change) -> Answer:
        """Apply it; or the answer that the first call with its id got."""
        joined = self._store.joined
        (row,) = self._store.run(CHANGE, *self._common, *self._told(change, joined=joined))
        self._tidy(joined=joined)
        return self._answer(row)

    def change_many(self, changes: Sequence[Change]) -> list[Answer | CoordinationError]:
        """Apply several in one statement, each by itself; in this order, or by their shards."""
        joined = self._store.joined
        told = [(index, self._told(each, joined=joined)) for index, each in enumerate(changes)]
        # In one order, so that two who add to several rows at once do not wait for each other.
        told.sort(key=lambda each: self._shard(changes[each[0]]))
        rows = self._store.run(CHANGE_MANY, *self._common, json.dumps([each for _, each in told]))
        self._tidy(joined=joined)
        answers = {index: self._answer(row) for (index, _), row in zip(told, rows, strict=True)}
        return [answers[index] for index in range(len(changes))]

    def history(self, limit: int) -> list[Past]:
        """The last changes in the table of events, the newest first."""
        key = f"{self._store.alias} {self._rules.name}"
        keys = [key, *(f"{key} {shard}" for shard in range(1, self._rules.shards))]
        return [
            past(
                json.loads(data),
                kind=kind,
                version=int(version),
                at_us=int(at_us),
                node=node,
            )
            for kind, version, at_us, node, data in self._store.run(HISTORY, "\n".join(keys), limit)
        ]

    def _told(self, change: Change, *, joined: bool) -> tuple[Value, ...]:
        kept_ms = conf.current().op_id_ttl_ms if change.op_id else 0 if joined else KEPT_MS
        return (
            *(self._shard(change), change.verb.value, KINDS[change.verb], change.number),
            *(change.expected, change.id, change.said, kept_ms),
            json.dumps(note_of(self._rules, change)),
        )

    def _shard(self, change: Change) -> int:
        if self._rules.shards == 1 or change.verb is not Verb.ADD:
            return 0
        # Of a thread always the same, so that those of one transaction are locked by itself alone;
        # of an op id too, so that its repetition waits for it.
        own = change.id if change.op_id else f"{os.getpid()} {threading.get_ident()}"
        return zlib.crc32(own.encode()) % self._rules.shards

    def _answer(self, row: tuple[Any, ...]) -> Answer:
        ending, value, version, said = row
        if ending == SHARDED:
            raise InvalidArgument(
                f"Counter {self._rules.name!r} is kept in several rows: declare it with the "
                "shards= that others use. Nothing was written.",
                name=self._rules.name,
                store=self._store.alias,
            )
        return Answer(Ending(ending), int(value), int(version), said)

    def _tidy(self, *, joined: bool) -> None:
        # Not in the caller's transaction, which would keep the rows locked.
        if not joined and random() < TIDY_SHARE:  # noqa: S311
            # The call was answered; if this fails, the next one will.
            with suppress(CoordinationError):
                self._store.tidy()
