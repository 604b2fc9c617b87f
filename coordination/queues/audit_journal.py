"""The statements of the auditor of queues: where it is, what it knows, what it concludes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from coordination.connections import database
from coordination.connections.database import Reply, Statement
from coordination.kernel.events import Event
from coordination.observing.audits import (
    BEGIN,
    CONCLUDE,
    EVIDENCE,
    WHERE_WE_ARE,
    dispute,
    first_waiting,
)
from coordination.observing.event_rows import EVENT_COLUMNS, event_of
from coordination.observing.fences import moved, run_fenced
from coordination.observing.findings import Broken, record
from coordination.observing.journal import CURSOR
from coordination.observing.types import VerdictState
from coordination.queues.import_journal import KIND
from coordination.queues.judging import Mark, Watch
from coordination.queues.projection import ids_of

VERDICT: Final = "queue_balance"
AUDIT: Final = "queue-audit"
SEQS_MAX: Final = 2_000
"""How far along the feed one pass goes."""
MESSAGES_MAX: Final = 20_000
"""How many messages' events one pass judges, and those of one event more."""

STORES: Final = """
SELECT name, seq, extract(epoch FROM clock_timestamp() - updated_at)::float8
FROM concord_cursor WHERE name LIKE 'queue:%'
"""
PUBLISHED: Final = """
SELECT coalesce(sum((state->>'published')::bigint), 0)::bigint FROM concord_queue_watch
"""
EVENTS: Final = f"""
SELECT seq, {EVENT_COLUMNS} FROM concord_event
WHERE seq > %s AND seq <= %s AND object = 'queue' ORDER BY seq
"""  # noqa: S608
WATCHES: Final = "SELECT key, state FROM concord_queue_watch WHERE key = ANY(%s::text[])"
MARKS: Final = """
SELECT m.key, m.message, m.generation, m.acked, m.attempt, m.taker, m.until_us, m.at_us
FROM unnest(%s::text[], %s::text[]) AS x(key, message)
JOIN concord_queue_watched m ON m.key = x.key AND m.message = x.message
"""
SAVE_WATCHES: Final = """
INSERT INTO concord_queue_watch (key, state)
SELECT key, state FROM jsonb_to_recordset(%s::jsonb) AS x(key text, state jsonb)
ON CONFLICT (key) DO UPDATE SET state = excluded.state
"""
MARK: Final = """
INSERT INTO concord_queue_watched AS m
    (key, message, generation, acked, attempt, taker, until_us, at_us)
SELECT key, message, generation, acked, attempt, taker, until_us, at_us
FROM jsonb_to_recordset(%s::jsonb) AS x(key text, message text, generation int, acked boolean,
    attempt int, taker text, until_us bigint, at_us bigint)
ON CONFLICT (key, message) DO UPDATE SET generation = excluded.generation, acked = excluded.acked,
    attempt = excluded.attempt, taker = excluded.taker, until_us = excluded.until_us,
    at_us = excluded.at_us
"""
UNMARK: Final = """
DELETE FROM concord_queue_watched m USING unnest(%s::text[], %s::text[]) AS x(key, message)
WHERE m.key = x.key AND m.message = x.message
"""
MISSED: Final = """
UPDATE concord_queue_record SET gap_at = clock_timestamp() WHERE key = ANY(%s::text[])
"""
# Those that the records have in the queue.
THERE: Final = """
SELECT message FROM concord_message_record
WHERE key = %s AND state IN ('waiting', 'in_flight') ORDER BY id LIMIT %s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """Where a pass begins, and what is known of the events still on their way."""

    after: int
    feed: int
    now: datetime
    evidence: Mapping[str, Any]
    published: int
    """Messages that had ever been published, when their queues were counted last."""
    stores: Mapping[str, tuple[int, float]]
    """Store whose events are copied → events left behind, seconds since it was read."""
    oldest: datetime | None
    """Of the first event that has no place in the feed yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Concluded:
    """What a pass comes to."""

    until: int
    state: VerdictState
    reason: str
    checked: int
    since: datetime | None
    period_s: float
    evidence: Mapping[str, Any]
    found: Sequence[Broken]
    missed: Sequence[str]
    """Queues of which events were lost."""


class AuditJournal:
    """What the auditor keeps in the database alias `using`; errors are those of `database.run`."""

    def __init__(self, using: str) -> None:
        self._using = using

    def here(self) -> Here:
        """Where the auditor is; begins when it never ran."""
        cursor, verdict, stores, waiting, published = database.run(
            self._using,
            Statement(WHERE_WE_ARE, (CURSOR, AUDIT)),
            Statement(EVIDENCE, (VERDICT,)),
            Statement(STORES),
            first_waiting(KIND),
            Statement(PUBLISHED),
        )
        if not cursor.rows:
            database.run(self._using, Statement(BEGIN, (AUDIT,)))
            return self.here()
        after, feed, now = cursor.rows[0]
        evidence = verdict.rows[0][1] if verdict.rows else {}
        return Here(
            after=after,
            feed=feed,
            now=now,
            evidence=json.loads(evidence) if isinstance(evidence, str) else evidence,
            published=published.rows[0][0],
            stores=_stores(stores),
            oldest=waiting.rows[0][0] if waiting.rows else None,
        )

    def events(self, here: Here) -> tuple[int, list[Event]]:
        """The next events in their order, and up to which position of the feed they are all."""
        until = max(here.after, min(here.after + SEQS_MAX, here.feed))
        rows = database.run(self._using, Statement(EVENTS, (here.after, until)))[0].rows
        events: list[Event] = []
        messages = 0
        for row in rows:
            if messages > MESSAGES_MAX:
                return int(row[0]) - 1, events
            events.append(event_of(row))
            messages += len(ids_of(events[-1]))
        return until, events

    def watches(self, keys: Iterable[str]) -> dict[str, Watch]:
        """What is known of queues, without the marks of their messages."""
        found = {key: Watch(key) for key in sorted(keys)}
        if found:
            rows = database.run(self._using, Statement(WATCHES, (list(found),)))[0].rows
            for key, state in rows:
                said = json.loads(state) if isinstance(state, str) else state
                found[key] = Watch.from_json(key, said)
        return found

    def mark(self, watches: Mapping[str, Watch], messages: Sequence[tuple[str, str]]) -> None:
        """Put what is known of `messages`, each a key and an id, into their queues' watches."""
        if not messages:
            return
        keys, ids = [key for key, _ in messages], [id_ for _, id_ in messages]
        for row in database.run(self._using, Statement(MARKS, (keys, ids)))[0].rows:
            key, message, generation, acked, attempt, taker, until_us, at_us = row
            if generation == watches[key].generation:
                watches[key].marks[message] = Mark(
                    acked=acked, attempt=attempt, taker=taker, until_us=until_us, at_us=at_us
                )

    def there(self, key: str, *, limit: int) -> set[str]:
        """Ids of messages that are in a queue, by the records."""
        rows = database.run(self._using, Statement(THERE, (key, limit)))[0].rows
        return {row[0] for row in rows}

    def conclude(
        self,
        here: Here,
        watches: Mapping[str, Watch],
        messages: Sequence[tuple[str, str]],
        concluded: Concluded,
    ) -> None:
        """Move on, and keep what is known and what it comes to, all or nothing.

        Raises Fenced when another auditor was first.
        """
        values = (
            *(VERDICT, concluded.state.value, concluded.reason, concluded.checked),
            *(concluded.since, concluded.period_s, json.dumps(concluded.evidence)),
        )
        run_fenced(
            self._using,
            moved(AUDIT, before=here.after, after=concluded.until),
            *_saved(watches),
            *_marked(watches, messages),
            *record(VERDICT, concluded.found),
            *([Statement(MISSED, (list(concluded.missed),))] if concluded.missed else []),
            Statement(CONCLUDE, values),
        )
        database.run(self._using, dispute("concord_queue_record", VERDICT))


def _stores(reply: Reply) -> dict[str, tuple[int, float]]:
    return {
        name.split(":", 1)[1]: (left, age_s)
        for name, left, age_s in reply.rows
        if name.count(":") == 1
    }


def _saved(watches: Mapping[str, Watch]) -> list[Statement]:
    rows = [{"key": key, "state": watch.as_json()} for key, watch in sorted(watches.items())]
    return [Statement(SAVE_WATCHES, (json.dumps(rows),))] if rows else []


def _marked(watches: Mapping[str, Watch], messages: Sequence[tuple[str, str]]) -> list[Statement]:
    marked, gone = list[dict[str, Any]](), list[tuple[str, str]]()
    for key, message in messages:
        watch = watches[key]
        mark = watch.marks.get(message)
        if mark is None:
            gone.append((key, message))
            continue
        marked.append(
            {
                "key": key,
                "message": message,
                "generation": watch.generation,
                "acked": mark.acked,
                "attempt": mark.attempt,
                "taker": mark.taker,
                "until_us": mark.until_us,
                "at_us": mark.at_us,
            }
        )
    statements = []
    if gone:
        values = [key for key, _ in gone], [message for _, message in gone]
        statements.append(Statement(UNMARK, values))
    if marked:
        statements.append(Statement(MARK, (json.dumps(marked),)))
    return statements
