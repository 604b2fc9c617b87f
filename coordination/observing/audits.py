"""What auditors that follow the feed share: where they are, what they rely on, their verdict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from coordination.connections.database import Reply, Statement
from coordination.observing.import_journal import cursor_name

UNREAD_S = 5.0

BEGIN = "INSERT INTO concord_cursor (name, seq, epoch) VALUES (%s, 0, '') ON CONFLICT DO NOTHING"
WHERE_WE_ARE = """
SELECT a.seq, coalesce(f.seq, 0), clock_timestamp()
FROM concord_cursor a LEFT JOIN concord_cursor f ON f.name = %s WHERE a.name = %s
"""
EVIDENCE = "SELECT checked, evidence FROM concord_verdict WHERE name = %s"
STORES_READ = """
SELECT name, seq, epoch, extract(epoch FROM clock_timestamp() - updated_at)::float8
FROM concord_cursor WHERE name LIKE %s
"""
FIRST_WAITING = """
SELECT at FROM concord_event WHERE seq IS NULL AND object = %s ORDER BY id LIMIT 1
"""
# Red whatever else is wrong.
CONCLUDE = """
WITH given (name, state, reason, checked, since, period_s, evidence) AS (
    VALUES (%s, %s, %s, %s::bigint, %s::timestamptz, %s::float8, %s::jsonb)
), standing AS (
    SELECT count(*) FILTER (WHERE acknowledged_at IS NULL) AS violations,
        count(acknowledged_at) AS acknowledged
    FROM concord_violation, given WHERE verdict = given.name
)
INSERT INTO concord_verdict AS v (name, state, reason, checked, violations, acknowledged,
    window_start, checked_at, period_s, evidence)
SELECT name, CASE WHEN violations > 0 THEN 'VIOLATED' ELSE state END, reason, checked, violations,
    acknowledged, since, clock_timestamp(), period_s, evidence
FROM given, standing
ON CONFLICT (name) DO UPDATE SET
    state = excluded.state, reason = excluded.reason, checked = excluded.checked,
    violations = excluded.violations, acknowledged = excluded.acknowledged,
    window_start = coalesce(v.window_start, excluded.window_start),
    checked_at = excluded.checked_at, period_s = excluded.period_s, evidence = excluded.evidence
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """What has not come of the stores whose events an importer has to bring."""

    left: int
    """Events still to be copied."""
    why: dict[str, str]
    """Store → why its events are not seen, as they should be."""
    lost: bool
    """Whether a store lost events and was not looked at as a whole since."""


def stores_read(kind: str) -> Statement:
    """Asks how far the stores' events about `kind` were copied, and when; for `unread`."""
    return Statement(STORES_READ, (f"{kind}:%",))


def unread(reply: Reply, kind: str, stores: Iterable[str]) -> Unread:
    """What the reply to `stores_read` says of `stores`."""
    rows = {name: (seq, epoch, age_s) for name, seq, epoch, age_s in reply.rows}
    lost = {name.split(":")[1] for name, row in rows.items() if ":missing:" in row[1]}
    left, why = 0, dict[str, str]()
    for alias in stores:
        behind, _, age_s = rows.get(cursor_name(kind, alias), (0, "", None))
        left += behind
        if age_s is None:
            why[alias] = f"{alias} was never read"
        elif age_s > UNREAD_S:
            why[alias] = f"{alias} was last read {age_s:.0f} s ago"
        elif alias in lost:
            why[alias] = f"{alias} lost events, and is being told anew"
    return Unread(left=left, why=why, lost=bool(lost))


def first_waiting(kind: str) -> Statement:
    """Asks when the first event about `kind` happened that has no place in the feed yet."""
    return Statement(
        "SELECT at FROM concord_event WHERE seq IS NULL AND object = %s ORDER BY id LIMIT 1",
        (kind,),
    )


def dispute(records: str, verdict: str) -> Statement:
    """Lets the rows of `records` carry the sentence of their last open finding.

    Rows are locked in the order of their keys, as the observer does.
    """
    return Statement(
        f"""
WITH open AS (
    SELECT DISTINCT ON (gid) gid AS key, sentence FROM concord_violation
    WHERE verdict = %s AND acknowledged_at IS NULL ORDER BY gid, found_at DESC, id DESC
), wrong AS (
    SELECT r.key, coalesce(o.sentence, '') AS sentence
    FROM {records} r LEFT JOIN open o USING (key)
    WHERE (r.disputed <> '' OR r.key IN (SELECT key FROM open))
        AND r.disputed <> coalesce(o.sentence, '')
    ORDER BY r.key FOR UPDATE OF r
)
UPDATE {records} r SET disputed = w.sentence FROM wrong w WHERE r.key = w.key
""",  # noqa: S608 - a name of ours
        (verdict,),
    )


def within(at: str | None, age: timedelta, now: datetime) -> bool:
    """Whether a time, as evidence keeps it, was no longer ago than `age`."""
    return at is not None and now - datetime.fromisoformat(at) <= age
