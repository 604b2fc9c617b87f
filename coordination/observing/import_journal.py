"""The importer's statements: cursors of foreign streams, and events copied beside their move.

Each primitive whose stores keep events of their own has a journal of this kind, by the name of its
events' `object`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from coordination.connections import database
from coordination.connections.database import Statement
from coordination.observing.fences import run_fenced
from coordination.observing.streams import Place

PLACES = "SELECT name, seq, epoch FROM concord_cursor WHERE name = ANY(%s::text[])"
BEGIN = """
INSERT INTO concord_cursor (name, seq, epoch) SELECT name, 0, %s FROM unnest(%s::text[]) AS x(name)
ON CONFLICT (name) DO NOTHING
"""
# In one order, so that no two importers ever wait for each other.
HOLD = "SELECT name FROM concord_cursor WHERE name = ANY(%s::text[]) ORDER BY name FOR UPDATE"
# Refuses (division by zero) the whole import unless every cursor is where it was read.
MOVE = """
WITH given AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb)
        AS x(name text, old bigint, was text, new bigint, epoch text)
), moved AS (
    UPDATE concord_cursor c SET seq = g.new, epoch = g.epoch, updated_at = clock_timestamp()
    FROM given g WHERE c.name = g.name AND c.seq = g.old AND c.epoch = g.was RETURNING 1
) SELECT 1 / (CASE WHEN (SELECT count(*) FROM moved) = (SELECT count(*) FROM given)
    THEN 1 ELSE 0 END)
"""
# When a store was last read to its end, and how many events were left; once a second is enough.
SEEN = """
INSERT INTO concord_cursor (name, seq, epoch) VALUES (%s, %s, '')
ON CONFLICT (name) DO UPDATE SET seq = excluded.seq, updated_at = clock_timestamp()
"""
CROWDED = """
SELECT count(*) FROM (
    SELECT FROM concord_event WHERE seq IS NULL AND object = %s LIMIT %s) AS x
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An event as it is to be recorded."""

    kind: str
    name: str
    at: datetime
    node: str
    actor: str
    data: Mapping[str, Any]


def versioned_copy(kind: str, records: str) -> str:
    """The statement that copies rows about `kind`; versions go on from events and `records`.

    A name is in one shard only, so whoever holds the shard's cursor gives its versions.
    """
    return f"""
WITH given AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb)
        AS x(place int, kind text, name text, at timestamptz, node text, actor text, data jsonb)
), known AS (
    SELECT n.name, greatest(
        (SELECT max(e.version) FROM concord_event e WHERE e.object = '{kind}' AND e.name = n.name),
        (SELECT r.version FROM {records} r WHERE r.key = n.name), 0) AS version
    FROM (SELECT DISTINCT name FROM given) n
)
INSERT INTO concord_event (kind, object, name, version, at, node, actor, data)
SELECT g.kind, '{kind}', g.name,
    k.version + row_number() OVER (PARTITION BY g.name ORDER BY g.place), g.at, g.node, g.actor,
    g.data
FROM given g JOIN known k USING (name) ORDER BY g.place
"""  # noqa: S608 - both are names of ours


def cursor_name(kind: str, alias: str, shard: int | None = None) -> str:
    """The row of a shard's cursor; without one, the row that says when the store was last seen."""
    return f"{kind}:{alias}" if shard is None else f"{kind}:{alias}:{shard}"


class ImportJournal:
    """Cursors and events of the database alias `using`; errors are those of `database.run`."""

    def __init__(self, using: str, *, kind: str, copy: str) -> None:
        """Nothing is sent.

        Args:
            using: where the cursors and events are.
            kind: `object` of the events, and the first word of the cursors' names.
            copy: the statement that records `rows_json`.
        """
        self.using = using
        self._kind, self._copy = kind, copy

    def places(self, alias: str, shards: int) -> dict[int, Place]:
        """How far each shard was imported; begins what never was."""
        names = {cursor_name(self._kind, alias, shard): shard for shard in range(shards)}
        statement = Statement(PLACES, (list(names),))
        rows = database.run(self.using, statement)[0].rows
        if len(rows) < shards:
            database.run(self.using, Statement(BEGIN, (Place().text(), list(names))))
            return self.places(alias, shards)
        return {names[name]: Place.parse(seq, epoch) for name, seq, epoch in rows}

    def crowded(self, most: int) -> bool:
        """Whether so many of these events wait for their place in the feed."""
        waiting: int = database.run(self.using, Statement(CROWDED, (self._kind, most)))[0].rows[0][
            0
        ]
        return waiting >= most

    def commit(
        self, alias: str, moves: Mapping[int, tuple[Place, Place]], rows: Sequence[Row]
    ) -> None:
        """Move cursors and record events, all or nothing.

        Raises Fenced when a cursor is no longer where it was.
        """
        moved = [
            {
                "name": cursor_name(self._kind, alias, shard),
                "old": old.position,
                "was": old.text(),
                "new": new.position,
                "epoch": new.text(),
            }
            for shard, (old, new) in moves.items()
        ]
        copy = [Statement(self._copy, (rows_json(rows),))] if rows else []
        run_fenced(
            self.using,
            Statement(HOLD, ([each["name"] for each in moved],)),
            Statement(MOVE, (json.dumps(moved),)),
            *copy,
        )

    def seen(self, alias: str, *, left: int) -> None:
        """Say that a store was read, and how many events are left there, at least."""
        database.run(self.using, Statement(SEEN, (cursor_name(self._kind, alias), left)))


def rows_json(rows: Sequence[Row]) -> str:
    """Rows as the recordset that a statement which copies takes."""
    values = [_values(place, row) for place, row in enumerate(rows)]
    text = json.dumps(values)
    # What PostgreSQL cannot store must not hold up all that comes behind it.
    if "\\u0000" in text or "\\ud" in text or "NaN" in text or "Infinity" in text:
        text = json.dumps(_storable(values))
    return text


def _values(place: int, row: Row) -> dict[str, Any]:
    return {
        "place": place,
        "kind": row.kind,
        "name": row.name,
        "at": row.at.isoformat(),
        "node": row.node,
        "actor": row.actor,
        "data": row.data,
    }


def _storable(value: Any) -> Any:
    """The same without NUL, lone surrogates and numbers that are none."""
    if isinstance(value, str):
        return value.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
    if isinstance(value, Mapping):
        return {_storable(key): _storable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_storable(each) for each in value]
    if isinstance(value, float) and value - value != 0:
        return str(value)
    return value
