"""Forgets old events of counters, in small batches; any number of pruners may run.

Only what is imported, judged and older than the retention goes. The last event of each row stays:
it says how the row stands, so that records can be rebuilt from what is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from coordination.connections import database
from coordination.connections.database import Statement
from coordination.counters.auditor import AUDIT
from coordination.counters.foreign import CounterEventSource
from coordination.counters.import_journal import KIND
from coordination.counters.recording import RETENTION_DAYS
from coordination.counters.stores.sqlite_events import SHARD, SqliteCounterEvents
from coordination.exceptions import CoordinationError
from coordination.observing.import_journal import cursor_name

ROWS_MAX = 100
EVENTS_MAX = 500
"""Of one row in one batch."""

NEXT = """
SELECT key FROM concord_counter_record WHERE key > %s ORDER BY key LIMIT %s FOR UPDATE SKIP LOCKED
"""
# Of each only the first: what is young is not read again and again.
DELETE = """
WITH old AS (
    SELECT e.id FROM concord_counter_record r CROSS JOIN LATERAL (
        SELECT id, seq, version, at FROM concord_event
        WHERE object = 'counter' AND name = r.key ORDER BY version LIMIT %s
    ) e
    WHERE r.key = ANY(%s::text[]) AND e.version < r.version
        AND e.at < now() - %s * interval '1 day'
        AND e.seq <= (SELECT seq FROM concord_cursor WHERE name = %s)
), gone AS (
    DELETE FROM concord_event e USING old WHERE e.id = old.id RETURNING 1
) SELECT count(*) FROM gone
"""
IMPORTED = """
SELECT seq, (extract(epoch FROM clock_timestamp() - %s * interval '1 day') * 1000000)::bigint
FROM concord_cursor WHERE name = %s
"""


class Pruner:
    """Prunes what is in the database alias `using`, and in SQLite what was imported there."""

    def __init__(
        self,
        using: str,
        sources: Sequence[CounterEventSource],
        *,
        days: float = RETENTION_DAYS,
    ) -> None:
        """Prune what is older than `days`."""
        self._using, self._days = using, days
        self._files = [each for each in sources if isinstance(each, SqliteCounterEvents)]
        self._after = ""

    def step(self) -> int:
        """Prune a batch; returns how much was looked at, 0 at the end of a round."""
        with transaction.atomic(using=self._using):
            keys = [row[0] for row in self._run(NEXT, self._after, ROWS_MAX)]
            gone = self._run(DELETE, EVENTS_MAX, keys, self._days, AUDIT)[0][0] if keys else 0
        if not gone:
            self._after = keys[-1] if keys else ""
        return len(keys) + sum(map(self._prune_file, self._files))

    def _prune_file(self, source: SqliteCounterEvents) -> int:
        rows = self._run(IMPORTED, self._days, cursor_name(KIND, source.alias, SHARD))
        if not rows:
            return 0
        position, before_us = rows[0]
        try:
            return source.forget(before=position, older_us=before_us, limit=EVENTS_MAX)
        except CoordinationError:
            return 0  # Somebody writes there for long; the next round comes.

    def _run(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return database.run(self._using, Statement(sql, values))[0].rows
