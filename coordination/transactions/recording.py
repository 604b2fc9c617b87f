"""How the observer keeps the records of transactions: reads, upserts, roll-ups, interventions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from coordination.connections import database
from coordination.connections.database import Statement
from coordination.kernel.events import Event
from coordination.observing.projections import Step
from coordination.transactions import projection, rates
from coordination.transactions.projection import COLUMNS, Record

_LIST = ", ".join(COLUMNS)
_TYPES = {
    "feed_seq": "bigint",
    "version": "int",
    "branches": "jsonb",
    "gap": "boolean",
    **dict.fromkeys(projection.TIMES, "timestamptz"),
}

LOAD = f"SELECT {_LIST} FROM concord_transaction_record WHERE gid = ANY(%s::text[])"  # noqa: S608

# One JSON array of rows; an older row never replaces a newer one.
SAVE = (
    f"INSERT INTO concord_transaction_record ({_LIST})"  # noqa: S608
    f" SELECT {_LIST} FROM jsonb_to_recordset(%s::jsonb) AS r("
    + ", ".join(f"{column} {_TYPES.get(column, 'text')}" for column in COLUMNS)
    + ") ON CONFLICT (gid) DO UPDATE SET "
    + ", ".join(f"{column} = excluded.{column}" for column in COLUMNS if column != "gid")
)

_SUMS = [name for name in rates.Bucket.__dataclass_fields__ if not name.endswith("_max")]
_MAXIMA = [name for name in rates.Bucket.__dataclass_fields__ if name.endswith("_max")]

# One JSON array of buckets, added to what stands there.
COUNT = (
    f"INSERT INTO concord_rollup AS r (bucket, {', '.join(_SUMS + _MAXIMA)})"  # noqa: S608
    f" SELECT bucket, {', '.join(_SUMS + _MAXIMA)} FROM jsonb_to_recordset(%s::jsonb) AS x("
    "bucket timestamptz, "
    + ", ".join(f"{name} bigint" for name in _SUMS + _MAXIMA)
    + ") ON CONFLICT (bucket) DO UPDATE SET "
    + ", ".join(f"{name} = r.{name} + excluded.{name}" for name in _SUMS)
    + ", "
    + ", ".join(f"{name} = greatest(r.{name}, excluded.{name})" for name in _MAXIMA)
)

INTERVENE = """
INSERT INTO concord_intervention (event_id, at, actor, action, object, name, reason)
SELECT event_id, at, actor, action, object, name, reason
FROM jsonb_to_recordset(%s::jsonb) AS x(
    event_id bigint, at timestamptz, actor text, action text, object text, name text, reason text)
ON CONFLICT (event_id) DO NOTHING
"""

CLEAR = (
    Statement("DELETE FROM concord_transaction_record"),
    Statement("DELETE FROM concord_rollup"),
    # One whose event is forgotten could not be told again.
    Statement("""
        DELETE FROM concord_intervention i USING concord_event e
        WHERE i.object = 'transaction' AND e.id = i.event_id"""),
)

PRUNE = "DELETE FROM concord_rollup WHERE bucket < now() - %s * interval '1 day'"
ROLLUP_DAYS = 7


class TransactionProjection:
    """Records of transactions, for the observer."""

    object = "transaction"
    pruned = False

    def load(self, using: str, names: Sequence[str]) -> Mapping[str, Record]:
        """The records of the gids in `names` that exist."""
        rows = database.run(using, Statement(LOAD, (list(names),)))[0].rows
        return {record.gid: record for record in map(_record, rows)}

    def version(self, record: Record) -> int:
        """The version of the transaction the record stands at."""
        return record.version

    def apply(self, record: Record | None, event: Event, seq: int) -> Record:
        """The record after `event`, which the feed carries at `seq`."""
        return projection.apply(record, event, seq)

    def row(self, record: Record) -> dict[str, Any]:
        """The record as JSON values."""
        return record.as_row()

    def save(self, steps: Sequence[Step]) -> list[Statement]:
        """Upserts of the last record of each gid, and what the events add to the roll-ups."""
        if not steps:
            return []
        last = {step.event.name: step.after for step in steps}
        statements = [
            # In gid order, so that no two writers ever wait for each other.
            Statement(SAVE, (json.dumps([last[gid].as_row() for gid in sorted(last)]),))
        ]
        buckets = rates.count((step.event, step.after) for step in steps)
        if buckets:
            rows = [{"bucket": at.isoformat(), **asdict(buckets[at])} for at in sorted(buckets)]
            statements.append(Statement(COUNT, (json.dumps(rows),)))
        if interventions := [_intervention(step) for step in steps if _by_hand(step.event)]:
            statements.append(Statement(INTERVENE, (json.dumps(interventions),)))
        return statements

    def clear(self) -> list[Statement]:
        """Drop records, roll-ups and interventions of transactions."""
        return list(CLEAR)

    def prune(self) -> list[Statement]:
        """Forget what is past its retention: roll-ups after `ROLLUP_DAYS` days."""
        return [Statement(PRUNE, (ROLLUP_DAYS,))]


def _record(row: Sequence[Any]) -> Record:
    values = dict(zip(COLUMNS, row, strict=True))
    if isinstance(values["branches"], str):  # Django's connections hand out jsonb as text.
        values["branches"] = json.loads(values["branches"])
    return Record.from_row(values)


def _by_hand(event: Event) -> bool:
    return event.kind == "transaction.resolved"


def _intervention(step: Step) -> dict[str, Any]:
    event, data = step.event, step.event.data
    return {
        "event_id": step.event_id,
        "at": event.at.isoformat(),
        "actor": data.get("actor") or event.actor,
        "action": data.get("action") or "",
        "object": event.object,
        "name": event.name,
        "reason": data.get("reason") or "",
    }
