"""How the observer keeps the records of queues: what events tell of them and of their messages."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from coordination.connections.database import Statement
from coordination.kernel.events import Event
from coordination.observing.projections import Step
from coordination.queues import projection
from coordination.queues.events import OBJECT
from coordination.queues.projection import LIFE_KEPT, Life, Told

RETENTION_DAYS: Final = 7
"""How long events of queues, and messages that nothing befell since, are kept."""
MESSAGES_KEPT: Final = 500_000
"""Of all queues together, the last ones to come."""
BUCKETS_HOURS: Final = 6
PRUNED_AT_ONCE: Final = 5_000

# Added to: whoever moved the cursor is the only one who adds these events.
SAVE: Final = """
INSERT INTO concord_queue_record AS r
    (key, store, name, feed_seq, event_at, events, retried, refused)
SELECT key, split_part(key, ' ', 1), split_part(key, ' ', 2), feed_seq, event_at, events, retried,
    refused
FROM jsonb_to_recordset(%s::jsonb) AS x(key text, feed_seq bigint, event_at timestamptz,
    events bigint, retried bigint, refused bigint)
ON CONFLICT (key) DO UPDATE SET
    feed_seq = greatest(r.feed_seq, excluded.feed_seq),
    event_at = greatest(r.event_at, excluded.event_at),
    events = r.events + excluded.events,
    retried = r.retried + excluded.retried,
    refused = r.refused + excluded.refused
"""
_COLUMNS: Final[Mapping[str, str]] = {
    "key": "text",
    "message": "text",
    "event_id": "bigint",
    "changed_at": "timestamptz",
    "state": "text",
    "attempts": "int",
    "priority": "smallint",
    "group": "text",
    "taker": "text",
    "node": "text",
    "published_at": "timestamptz",
    "due_at": "timestamptz",
    "taken_at": "timestamptz",
    "until": "timestamptz",
    "ended_at": "timestamptz",
    "error": "text",
    "source": "text",
    "went_to": "text",
    "life": "jsonb",
}
_NEW: Final[Mapping[str, str]] = {
    "attempts": "0",
    "group": "''",
    "taker": "''",
    "node": "''",
    "error": "''",
    "source": "''",
    "went_to": "''",
}
"""What a column is of a message of which nothing was known."""
_OF_STATE: Final = ("due_at", "until", "ended_at")
"""They go with the state: null is a value of theirs."""


def _quoted(columns: Sequence[str], prefix: str = "") -> list[str]:
    return [f'{prefix}"{column}"' for column in columns]


def _changed(column: str) -> str:
    if column in _OF_STATE:
        return f'"{column}" = CASE WHEN x.state IS NULL THEN r."{column}" ELSE x."{column}" END'
    if column == "attempts":
        return "attempts = greatest(0, coalesce(x.attempts, r.attempts - x.less))"
    return f'"{column}" = coalesce(x."{column}", r."{column}")'


_LIFE = f"life = jsonb_path_query_array(r.life || x.life, '$[last - {LIFE_KEPT - 1} to last]')"
_KEPT = ("key", "message", "life", "event_id", "changed_at")
# A row may go at any time, by pruning; nobody but the one who moved the cursor makes any.
SAVE_LIVES: Final = f"""
MERGE INTO concord_message_record r
USING (SELECT * FROM jsonb_to_recordset(%s::jsonb) AS y(
    {", ".join(f'"{column}" {type_}' for column, type_ in _COLUMNS.items())},
    known_only boolean, less int)) x
ON r.message = x.message AND r.key = x.key
WHEN MATCHED AND x.event_id >= r.event_id THEN UPDATE SET
    {", ".join(_changed(column) for column in _COLUMNS if column not in _KEPT)},
    event_id = x.event_id, changed_at = x.changed_at, {_LIFE}
WHEN MATCHED THEN UPDATE SET {_LIFE}
WHEN NOT MATCHED AND NOT x.known_only THEN
    INSERT ({", ".join(_quoted(list(_COLUMNS)))})
    VALUES ({
    ", ".join(
        f'coalesce(x."{column}", {_NEW[column]})' if column in _NEW else f'x."{column}"'
        for column in _COLUMNS
    )
})
"""  # noqa: S608
# One for all steps of one action.
INTERVENE: Final = """
INSERT INTO concord_intervention (event_id, at, actor, action, object, name, reason)
SELECT DISTINCT ON (x.name, x.op) x.event_id, x.at, x.actor, x.action, x.object, x.name, x.reason
FROM jsonb_to_recordset(%s::jsonb) AS x(event_id bigint, at timestamptz, actor text, action text,
    object text, name text, reason text, op text)
WHERE NOT EXISTS (
    SELECT FROM concord_intervention i JOIN concord_event e ON e.id = i.event_id
    WHERE i.object = x.object AND i.name = x.name AND i.action = x.action
        AND i.at > x.at - interval '1 hour' AND split_part(e.data->>'op', '-', 1) = x.op)
ORDER BY x.name, x.op, x.event_id
ON CONFLICT (event_id) DO NOTHING
"""

# What was sampled stays: no event tells it.
CLEAR: Final = (
    Statement(
        "UPDATE concord_queue_record "
        "SET feed_seq = 0, event_at = NULL, events = 0, retried = 0, refused = 0"
    ),
    Statement("DELETE FROM concord_message_record"),
    # One whose event is pruned could not be told again.
    Statement("""
        DELETE FROM concord_intervention i USING concord_event e
        WHERE i.object = 'queue' AND e.id = i.event_id
    """),
)
# Oldest first; those that came long ago and of which something was told lately stay.
_OLD_LIVES: Final = """
DELETE FROM concord_message_record WHERE id IN (
    SELECT id FROM (SELECT id, changed_at FROM concord_message_record ORDER BY id LIMIT %s
        FOR UPDATE SKIP LOCKED) x
    WHERE changed_at < now() - %s * interval '1 day')
"""
_MANY_LIVES: Final = """
DELETE FROM concord_message_record WHERE id IN (
    SELECT id FROM concord_message_record ORDER BY id
    LIMIT least(%s, greatest(0, (SELECT count(*) FROM concord_message_record) - %s))
    FOR UPDATE SKIP LOCKED)
"""
_OLD_BUCKETS: Final = """
DELETE FROM concord_queue_bucket WHERE id IN (
    SELECT id FROM concord_queue_bucket WHERE start < now() - %s * interval '1 hour'
    ORDER BY start LIMIT %s)
"""


class QueueProjection:
    """Records of queues and their messages, for the observer."""

    object = OBJECT
    pruned = True

    def load(self, _using: str, _names: Sequence[str]) -> Mapping[str, Told]:
        """Each event is an object of its own, of which nothing is known before."""
        return {}

    def version(self, _record: Told) -> int:
        """Every object has the one."""
        return 1

    def apply(self, _record: Told | None, event: Event, seq: int) -> Told:
        """The event in short."""
        return projection.apply(event, seq)

    def row(self, record: Told) -> dict[str, Any]:
        """The event in short, as JSON values."""
        return record.shown()

    def save(self, steps: Sequence[Step]) -> list[Statement]:
        """What events add to their queues, their messages' lives, and what operators did."""
        if not steps:
            return []
        told = (
            (SAVE, list(_queues(steps))),
            (SAVE_LIVES, list(_lives(steps))),
            (INTERVENE, list(_interventions(steps))),
        )
        return [Statement(sql, (json.dumps(rows),)) for sql, rows in told if rows]

    def clear(self) -> list[Statement]:
        """Drop all that events told."""
        return list(CLEAR)

    def prune(self) -> list[Statement]:
        """Forget some messages and buckets past their retention; `pruning` does the events."""
        return [
            Statement(_OLD_LIVES, (PRUNED_AT_ONCE, RETENTION_DAYS)),
            Statement(_MANY_LIVES, (PRUNED_AT_ONCE, MESSAGES_KEPT)),
            Statement(_OLD_BUCKETS, (BUCKETS_HOURS, PRUNED_AT_ONCE)),
        ]


def _queues(steps: Sequence[Step]) -> Iterator[dict[str, Any]]:
    # In the order of their keys, so that no two writers ever wait for each other.
    by_key: dict[str, list[Step]] = {}
    for step in steps:
        by_key.setdefault(step.after.key, []).append(step)
    for key in sorted(by_key):
        mine = by_key[key]
        counts = Counter[str]()
        for step in mine:
            counts[step.event.kind] += step.after.count
        yield {
            "key": key,
            "feed_seq": mine[-1].seq,
            "event_at": max(step.event.at for step in mine).isoformat(),
            "events": len(mine),
            "retried": counts["message.retried"],
            "refused": counts["message.refused"],
        }


def _lives(steps: Sequence[Step]) -> Iterator[dict[str, Any]]:
    lives: dict[tuple[str, str], Life] = {}
    for step in steps:
        projection.fold(lives, step.event, step.event_id)
    # In the order of their coming, which the ids of their rows are to tell.
    for life in lives.values():
        yield life.as_row()


def _interventions(steps: Sequence[Step]) -> Iterator[dict[str, Any]]:
    for step in steps:
        if (row := projection.intervention(step.event, step.event_id)) is not None:
            yield row
