"""Forgets the old history of locks, in small batches; any number of pruners may run.

Of a resource that nobody used for long everything goes. Of any other the old events are replaced
by one that tells what they come to (`lock.resynced`), in the place of the last of them: so a
history always begins with a known state, and records can be rebuilt from what is left.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from django.db import transaction

from coordination.connections import database
from coordination.connections.database import Statement
from coordination.locks.auditor import AUDIT
from coordination.locks.projection import RESYNCED, fold
from coordination.locks.record import state_of
from coordination.locks.recording import RETENTION_DAYS
from coordination.observing.event_rows import EVENT_COLUMNS, event_of

RESOURCES_MAX = 100
EVENTS_MAX = 200
"""Of one resource in one batch."""
GRANTS_MAX = 5_000
GRANTS_KEPT = 1_000

# Nothing that is not judged is forgotten.
UNUSED = """
SELECT key FROM concord_lock_record r
WHERE changed_at < now() - %s * interval '1 day' AND holding = 0 AND waiting = 0
    AND disputed = '' AND feed_seq <= (SELECT seq FROM concord_cursor WHERE name = %s)
    AND NOT EXISTS (SELECT FROM concord_event e WHERE e.object = 'lock' AND e.name = r.key
        AND (e.version > r.version OR e.at >= now() - %s * interval '1 day'))
ORDER BY changed_at LIMIT %s FOR UPDATE SKIP LOCKED
"""
FORGET = (
    "DELETE FROM concord_event WHERE object = 'lock' AND name = ANY(%s::text[])",
    "DELETE FROM concord_lock_grant WHERE key = ANY(%s::text[])",
    "DELETE FROM concord_lock_watch WHERE key = ANY(%s::text[])",
    "DELETE FROM concord_lock_record WHERE key = ANY(%s::text[])",
)
NEXT = """
SELECT key FROM concord_lock_record WHERE key > %s ORDER BY key LIMIT %s FOR UPDATE SKIP LOCKED
"""
# Of each only the first: what is young is not read again and again.
OLD = f"""
SELECT e.id, {EVENT_COLUMNS}
FROM unnest(%s::text[]) AS k(key) CROSS JOIN LATERAL (
    SELECT * FROM concord_event WHERE object = 'lock' AND name = k.key ORDER BY version LIMIT %s
) e
WHERE e.at < now() - %s * interval '1 day'
    AND e.seq <= (SELECT seq FROM concord_cursor WHERE name = %s)
ORDER BY e.name, e.version
"""  # noqa: S608
REPLACE = """
UPDATE concord_event e SET kind = x.kind, data = x.data
FROM jsonb_to_recordset(%s::jsonb) AS x(id bigint, kind text, data jsonb) WHERE e.id = x.id
"""
DELETE = "DELETE FROM concord_event WHERE id = ANY(%s::bigint[])"
GRANTS = """
DELETE FROM concord_lock_grant WHERE id IN (
    SELECT g.id FROM unnest(%s::text[]) AS k(key) CROSS JOIN LATERAL (
        SELECT id, granted_at, ended_at, row_number() OVER (ORDER BY granted_at DESC) AS place
        FROM concord_lock_grant WHERE key = k.key
    ) g
    WHERE g.ended_at IS NOT NULL AND (
        g.place > %s OR g.ended_at < now() - %s * interval '1 day')
    LIMIT %s)
"""


class Pruner:
    """Prunes what is in the database alias `using`, resource by resource and round again."""

    def __init__(self, using: str, *, days: float = RETENTION_DAYS) -> None:
        """Prune what is older than `days`."""
        self._using, self._days = using, days
        self._after = ""

    def step(self) -> int:
        """Prune a batch; returns how many resources were looked at, 0 at the end of a round."""
        with transaction.atomic(using=self._using):
            forgotten = self._forget()
        with transaction.atomic(using=self._using):
            keys = self._next()
            again = self._compact(keys)
        if not again:
            self._after = keys[-1] if keys else ""
        return len(keys) + forgotten

    def _forget(self) -> int:
        keys = [row[0] for row in self._run(UNUSED, self._days, AUDIT, self._days, RESOURCES_MAX)]
        if keys:
            database.run(self._using, *(Statement(sql, (keys,)) for sql in FORGET))
        return len(keys)

    def _next(self) -> list[str]:
        return [row[0] for row in self._run(NEXT, self._after, RESOURCES_MAX)]

    def _compact(self, keys: Sequence[str]) -> bool:
        """Replace old events by what they come to; whether there are more."""
        if not keys:
            return False
        rows = self._run(OLD, list(keys), EVENTS_MAX, self._days, AUDIT)
        replaced, deleted, more = [], list[int](), False
        events = ((row[0], event_of(row)) for row in rows)
        for _, group in groupby(events, key=lambda each: each[1].name):
            old = list(group)
            more = more or len(old) == EVENTS_MAX
            record = fold(event for _, event in old)
            assert record is not None
            if len(old) > 1 or old[0][1].kind != RESYNCED:
                deleted += [id_ for id_, _ in old[:-1]]
                replaced.append({"id": old[-1][0], "kind": RESYNCED, "data": state_of(record)})
        statements = [Statement(GRANTS, (list(keys), GRANTS_KEPT, self._days, GRANTS_MAX))]
        if deleted:
            statements.append(Statement(DELETE, (deleted,)))
        if replaced:
            statements.append(Statement(REPLACE, (json.dumps(replaced),)))
        database.run(self._using, *statements)
        return more

    def _run(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return database.run(self._using, Statement(sql, values))[0].rows
