"""How the observer keeps the records of counters: reads, upserts, sums over rows, interventions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from coordination.connections import database
from coordination.connections.database import Statement
from coordination.counters import projection
from coordination.counters.record import Record
from coordination.kernel.events import Event
from coordination.locks.recording import INTERVENE
from coordination.observing.projections import Step

RETENTION_DAYS = 7
"""How long events are kept; the last of each counter is kept for ever."""

_COLUMNS: Mapping[str, str] = {
    "key": "text",
    "counter": "text",
    "store": "text",
    "name": "text",
    "shard": "int",
    "feed_seq": "bigint",
    "version": "bigint",
    "edition": "bigint",
    "writes": "bigint",
    "value": "bigint",
    "changes": "bigint",
    "changed_at": "timestamptz",
    "last": "jsonb",
    "rates": "jsonb",
    "rows": "int",
    "initial": "bigint",
    "minimum": "bigint",
    "maximum": "bigint",
    "shards": "int",
    "disputed": "text",
    "gap": "boolean",
    "era": "int",
    "cell": "jsonb",
}
_LISTED = ", ".join(f'"{column}"' for column in _COLUMNS)
_DECLARED = ", ".join(f'"{column}" {type_}' for column, type_ in _COLUMNS.items())
_KEPT = ("key", "disputed")  # The auditor's word, which an observer does not know.
_LOADED = (
    *("key", "feed_seq", "version", "writes", "initial", "minimum", "maximum", "shards"),
    *("disputed", "era", "cell"),
)

LOAD = f"""
SELECT {", ".join(_LOADED)} FROM concord_counter_record WHERE key = ANY(%s::text[])
"""  # noqa: S608
SAVE = f"""
INSERT INTO concord_counter_record ({_LISTED})
SELECT {_LISTED} FROM jsonb_to_recordset(%s::jsonb) AS x({_DECLARED})
ON CONFLICT (key) DO UPDATE SET
""" + ", ".join(  # noqa: S608
    f'"{column}" = excluded."{column}"' for column in _COLUMNS if column not in _KEPT
)
# The first row stands for the whole, and may never have been written itself.
LEAD = f"""
INSERT INTO concord_counter_record ({_LISTED})
SELECT DISTINCT ON (r.counter) r.counter, r.counter, r.store, r.name, 0, r.feed_seq, 0, 0, 0,
    r.initial, 0, r.changed_at, NULL::jsonb, '[]'::jsonb, 1, r.initial, r.minimum, r.maximum,
    r.shards, '', false, 0, jsonb_build_object('value', r.initial, 'changes', 0,
        'gap', false, 'changed_at', r.changed_at, 'last', NULL, 'rates', '[]'::jsonb)
FROM concord_counter_record r WHERE r.counter = ANY(%s::text[]) AND r.shard > 0
ON CONFLICT (key) DO NOTHING
"""  # noqa: S608
SUM = """
WITH cells AS (
    SELECT * FROM concord_counter_record WHERE counter = ANY(%s::text[])
), sums AS (
    SELECT counter, sum(coalesce((cell->>'value')::bigint, CASE shard WHEN 0 THEN initial END, 0))
            AS value,
        sum(version) AS edition, sum((cell->>'changes')::bigint) AS changes,
        max((cell->>'changed_at')::timestamptz) AS changed_at, max(feed_seq) AS feed_seq,
        count(*) AS rows, bool_or((cell->>'gap')::boolean) AS gap,
        (array_agg(cell->'last' ORDER BY (cell->>'changed_at')::timestamptz DESC)
            FILTER (WHERE cell->>'last' IS NOT NULL))[1] AS last
    FROM cells GROUP BY counter HAVING count(*) > 1
), buckets AS (
    SELECT counter, jsonb_agg(jsonb_build_array(at, changes) ORDER BY at) AS rates FROM (
        SELECT counter, (each->>0)::bigint AS at, sum((each->>1)::bigint) AS changes
        FROM cells, jsonb_array_elements(cell->'rates') AS each GROUP BY 1, 2) AS b
    GROUP BY counter
)
UPDATE concord_counter_record r SET value = s.value, edition = s.edition, changes = s.changes,
    changed_at = s.changed_at, feed_seq = s.feed_seq, rows = s.rows, gap = s.gap, last = s.last,
    rates = coalesce(b.rates, '[]')
FROM sums s LEFT JOIN buckets b USING (counter) WHERE r.key = s.counter
"""
CLEAR = (
    Statement("DELETE FROM concord_counter_record"),
    # One whose event is pruned could not be told again.
    Statement("""
        DELETE FROM concord_intervention i USING concord_event e
        WHERE i.object = 'counter' AND e.id = i.event_id
    """),
)


class CounterProjection:
    """Records of counters, for the observer."""

    object = projection.OBJECT
    pruned = True

    def load(self, using: str, names: Sequence[str]) -> Mapping[str, Record]:
        """The records of the keys in `names` that exist."""
        rows = database.run(using, Statement(LOAD, (list(names),)))[0].rows
        return {record.key: record for record in map(_record, rows)}

    def version(self, record: Record) -> int:
        """The version of the row the record stands at."""
        return record.version

    def apply(self, record: Record | None, event: Event, seq: int) -> Record:
        """The record after `event`, which the feed carries at `seq`."""
        return projection.apply(record, event, seq)

    def row(self, record: Record) -> dict[str, Any]:
        """The record as JSON values, without what only a fold needs.

        Of a counter with several rows it is one row's word: the sum is in the records.
        """
        row = record.as_row()
        del row["cell"], row["era"]
        return row

    def save(self, steps: Sequence[Step]) -> list[Statement]:
        """Upserts of records, and what was done by hand."""
        if not steps:
            return []
        last: dict[str, Record] = {step.event.name: step.after for step in steps}
        # In the order of their keys, so that no two writers ever wait for each other.
        records = [last[key].as_row() for key in sorted(last)]
        statements = [Statement(SAVE, (json.dumps(records),))]
        several = sorted({each.counter for each in last.values() if each.shards > 1})
        if several:
            statements += [Statement(LEAD, (several,)), Statement(SUM, (several,))]
        if by_hand := list(_interventions(steps)):
            statements.append(Statement(INTERVENE, (json.dumps(by_hand),)))
        return statements

    def clear(self) -> list[Statement]:
        """Drop all that the observer wrote of counters."""
        return list(CLEAR)

    def prune(self) -> list[Statement]:
        """Nothing: `pruning` does it."""
        return []


def _interventions(steps: Sequence[Step]) -> Iterator[dict[str, Any]]:
    told: set[tuple[str, str]] = set()
    for step in steps:
        event, record = step.event, step.after
        # One deed writes every row of a counter with several.
        deed = record.counter, str(event.data.get("id", ""))
        if not event.actor or deed in told or event.version <= getattr(step.before, "version", 0):
            continue
        told.add(deed)
        yield {
            "event_id": step.event_id,
            "at": event.at.isoformat(),
            "actor": event.actor,
            "action": "reset" if event.kind == "counter.reset" else "adjusted",
            "object": projection.OBJECT,
            "name": record.counter,
            "reason": str(event.data.get("reason", "")),
        }


def _record(row: Sequence[Any]) -> Record:
    values = dict(zip(_LOADED, row, strict=True))
    if isinstance(values["cell"], str):  # Django's connections hand out jsonb as text.
        values["cell"] = json.loads(values["cell"])
    return Record.from_row(values)
