"""How the observer keeps the records of locks: reads, upserts, grants, refusals, interventions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from coordination.connections import database
from coordination.connections.database import Statement
from coordination.kernel.events import Event
from coordination.locks import projection
from coordination.locks.record import Record
from coordination.locks.told import deadlocks, grants, intervention, refusals
from coordination.observing.projections import Step

RETENTION_DAYS = 7
"""How long events, grants, refusals and deadlocks are kept."""
PRUNED_AT_ONCE = 5_000

_COLUMNS: Mapping[str, str] = {
    "key": "text",
    "store": "text",
    "kind": "text",
    "name": "text",
    "feed_seq": "bigint",
    "version": "int",
    "holders": "jsonb",
    "waiters": "jsonb",
    "holding": "int",
    "waiting": "int",
    "owner": "text",
    "token": "bigint",
    "until": "timestamptz",
    "waiting_since": "timestamptz",
    "last_end": "text",
    "changed_at": "timestamptz",
    "hold_ms_p95": "int",
    "disputed": "text",
    "gap": "boolean",
    "era": "int",
    "held_ms": "jsonb",
    "former": "jsonb",
}
_JSON = tuple(column for column, type_ in _COLUMNS.items() if type_ == "jsonb")
_KEPT = ("key", "disputed")  # The auditor's word, which an observer does not know.


def _recordset(columns: Mapping[str, str]) -> str:
    listed = ", ".join(columns)
    declared = ", ".join(f"{column} {type_}" for column, type_ in columns.items())
    source = f"jsonb_to_recordset(%s::jsonb) AS x({declared})"
    return f"({listed}) SELECT {listed} FROM {source}"  # noqa: S608


LOAD = (
    f"SELECT {', '.join(_COLUMNS)} FROM concord_lock_record"  # noqa: S608
    " WHERE key = ANY(%s::text[])"
)
SAVE = (
    f"INSERT INTO concord_lock_record {_recordset(_COLUMNS)} ON CONFLICT (key) DO UPDATE SET "
    + ", ".join(f"{column} = excluded.{column}" for column in _COLUMNS if column not in _KEPT)
)

_GRANT: Mapping[str, str] = {
    "key": "text",
    "request": "text",
    "token": "bigint",
    "mode": "text",
    "owner": "text",
    "context": "text",
    "asked_at": "timestamptz",
    "granted_at": "timestamptz",
    "until": "timestamptz",
    "renewals": "int",
    "ended_at": "timestamptz",
    "ended": "text",
    "actor": "text",
    "reason": "text",
}
SAVE_GRANTS = (
    f"INSERT INTO concord_lock_grant {_recordset(_GRANT)}"
    " ON CONFLICT (key, token) DO UPDATE SET "
    + ", ".join(f"{column} = excluded.{column}" for column in _GRANT if column != "key")
)
REFUSE = "INSERT INTO concord_lock_refusal " + _recordset(
    {
        "key": "text",
        "at": "timestamptz",
        "what": "text",
        "token": "bigint",
        "newer": "bigint",
        "owner": "text",
    }
)
DEADLOCK = "INSERT INTO concord_lock_deadlock " + _recordset(
    {"at": "timestamptz", "cycle": "jsonb", "victim": "text", "rule": "text"}
)
INTERVENE = (
    "INSERT INTO concord_intervention "
    + _recordset(
        {
            "event_id": "bigint",
            "at": "timestamptz",
            "actor": "text",
            "action": "text",
            "object": "text",
            "name": "text",
            "reason": "text",
        }
    )
    + " ON CONFLICT (event_id) DO NOTHING"
)

CLEAR = (
    Statement("DELETE FROM concord_lock_record"),
    Statement("DELETE FROM concord_lock_grant"),
    Statement("DELETE FROM concord_lock_refusal WHERE what = 'release'"),
    Statement("DELETE FROM concord_lock_deadlock"),
    # One whose event is pruned could not be told again.
    Statement("""
        DELETE FROM concord_intervention i USING concord_event e
        WHERE i.object = 'lock' AND e.id = i.event_id
            AND e.kind IN ('lock.forced', 'lock.revoke_asked')
    """),
)
_PRUNE = """
DELETE FROM {table} WHERE id IN (SELECT id FROM {table}
    WHERE at < now() - %s * interval '1 day' ORDER BY at LIMIT %s)
"""


class LockProjection:
    """Records of locks, semaphores, elections and barriers, for the observer."""

    object = projection.OBJECT
    pruned = True

    def load(self, using: str, names: Sequence[str]) -> Mapping[str, Record]:
        """The records of the keys in `names` that exist."""
        rows = database.run(using, Statement(LOAD, (list(names),)))[0].rows
        return {record.key: record for record in map(_record, rows)}

    def version(self, record: Record) -> int:
        """The version of the resource the record stands at."""
        return record.version

    def apply(self, record: Record | None, event: Event, seq: int) -> Record:
        """The record after `event`, which the feed carries at `seq`."""
        return projection.apply(record, event, seq)

    def row(self, record: Record) -> dict[str, Any]:
        """The record as JSON values."""
        return record.shown()

    def save(self, steps: Sequence[Step]) -> list[Statement]:
        """Upserts of records and grants, and what else the events tell."""
        if not steps:
            return []
        last = {step.event.name: step.after for step in steps}
        # In the order of their keys, so that no two writers ever wait for each other.
        records = [last[key].as_row() for key in sorted(last)]
        changed = {(row["key"], row["token"]): row for step in steps for row in grants(step)}
        told = (
            (SAVE_GRANTS, [changed[each] for each in sorted(changed)]),
            (REFUSE, [row for step in steps for row in refusals(step)]),
            (DEADLOCK, [row for step in steps for row in deadlocks(step)]),
            (INTERVENE, list(_interventions(steps))),
        )
        return [
            Statement(SAVE, (json.dumps(records),)),
            *(Statement(sql, (json.dumps(rows),)) for sql, rows in told if rows),
        ]

    def clear(self) -> list[Statement]:
        """Drop all that the observer wrote of locks."""
        return list(CLEAR)

    def prune(self) -> list[Statement]:
        """Forget some refusals and deadlocks past their retention; `pruning` does the rest."""
        return [
            Statement(_PRUNE.format(table=table), (RETENTION_DAYS, PRUNED_AT_ONCE))
            for table in ("concord_lock_refusal", "concord_lock_deadlock")
        ]


def _interventions(steps: Sequence[Step]) -> Iterator[dict[str, Any]]:
    for step in steps:
        if (row := intervention(step)) is not None:
            yield row


def _record(row: Sequence[Any]) -> Record:
    values = dict(zip(_COLUMNS, row, strict=True))
    for column in _JSON:
        if isinstance(values[column], str):  # Django's connections hand out jsonb as text.
            values[column] = json.loads(values[column])
    return Record.from_row(values)
