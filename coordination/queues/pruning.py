"""Forgets the old events of queues, in small batches; any number of pruners may run.

What is older than the retention, and has been judged, goes; how queues stand does not depend on it.
In SQLite each store keeps its last events itself, and in Redis each shard does.
"""

from __future__ import annotations

from typing import Final

from coordination.connections import database
from coordination.connections.database import Statement
from coordination.queues.audit_journal import AUDIT
from coordination.queues.recording import RETENTION_DAYS

EVENTS_MAX: Final = 5_000
MARKS_KEPT: Final = 1_000_000
MARKS_HOURS: Final = 24
PRUNED: Final = "queue-prune"
"""Up to which id all events were looked at."""

BEGIN: Final = """
INSERT INTO concord_cursor (name, seq, epoch) VALUES (%s, 0, '') ON CONFLICT (name) DO NOTHING
"""
# Everything is looked at once, in the order of ids and when it is old enough: among what others
# keep for ever nothing has to be searched for. Nothing that is not judged is forgotten.
PRUNE: Final = """
WITH at AS MATERIALIZED (
    SELECT seq FROM concord_cursor WHERE name = %s FOR UPDATE
), looked AS MATERIALIZED (
    SELECT e.id, e.object, e.at < now() - %s * interval '1 day'
        AND (e.object <> 'queue' OR coalesce(
            e.seq <= (SELECT seq FROM concord_cursor WHERE name = %s), false)) AS old
    FROM concord_event e WHERE e.id > (SELECT seq FROM at) ORDER BY e.id LIMIT %s
), passed AS MATERIALIZED (
    SELECT id, object FROM looked
    WHERE id < coalesce((SELECT min(id) FROM looked WHERE NOT old), 9223372036854775807)
), gone AS (
    DELETE FROM concord_event e USING passed p WHERE e.id = p.id AND p.object = 'queue'
), moved AS (
    UPDATE concord_cursor SET seq = (SELECT max(id) FROM passed), updated_at = clock_timestamp()
    WHERE name = %s AND EXISTS (SELECT FROM passed)
)
SELECT count(*) FROM passed
"""
OLD_MARKS: Final = """
DELETE FROM concord_queue_watched WHERE id IN (
    SELECT id FROM (SELECT id, at_us FROM concord_queue_watched ORDER BY id LIMIT %s
        FOR UPDATE SKIP LOCKED) x
    WHERE at_us < extract(epoch FROM now() - %s * interval '1 hour') * 1000000)
"""
MANY_MARKS: Final = """
DELETE FROM concord_queue_watched WHERE id IN (
    SELECT id FROM concord_queue_watched ORDER BY id
    LIMIT least(%s, greatest(0, (SELECT count(*) FROM concord_queue_watched) - %s))
    FOR UPDATE SKIP LOCKED)
"""


class QueuePruner:
    """Prunes the events of queues in the database alias `using`, and what the auditor knows."""

    def __init__(self, using: str, *, days: float = RETENTION_DAYS) -> None:
        """Prune what is older than `days`."""
        self._using, self._days = using, days

    def step(self) -> int:
        """Prune a batch; returns how many events were looked at, 0 when the rest is young."""
        database.run(self._using, Statement(BEGIN, (PRUNED,)))
        looked, *_ = database.run(
            self._using,
            Statement(PRUNE, (PRUNED, self._days, AUDIT, EVENTS_MAX, PRUNED)),
            Statement(OLD_MARKS, (EVENTS_MAX, MARKS_HOURS)),
            Statement(MANY_MARKS, (EVENTS_MAX, MARKS_KEPT)),
        )
        passed: int = looked.rows[0][0]
        return passed
