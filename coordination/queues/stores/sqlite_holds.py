"""Holds of queues in SQLite: a row each, in the file and the transaction of the branch's barrier.

So a step here happens if and only if its barrier stands, and neither lateness nor repetition has to
be told apart.
"""

from collections.abc import Callable, Sequence

from coordination import conf
from coordination.kernel.holds import HoldState, Kept
from coordination.queues.holding import refusal
from coordination.queues.stores import sqlite_verbs as verbs
from coordination.queues.stores.sqlite import SqliteQueues
from coordination.queues.types import Declaration, Outgoing

KNOWN = "SELECT 1 FROM concord_queue_hold WHERE queue_id = ? AND branch = ?"
KEEP = "INSERT INTO concord_queue_hold (queue_id, branch, messages, at_us) VALUES (?, ?, ?, ?)"
ALL = """
SELECT q.name, h.branch, h.messages FROM concord_queue_hold h
JOIN concord_queue q ON q.id = h.queue_id ORDER BY h.at_us
"""
LET_GO = "DELETE FROM concord_queue_hold WHERE queue_id = ? AND branch = ? RETURNING messages"


class SqliteQueueHolds:
    """See `coordination.queues.holding.QueueHolds`."""

    def __init__(self, queues: SqliteQueues) -> None:
        self._queues = queues

    def hold(
        self,
        queue: Declaration,
        batch: Sequence[Outgoing],
        *,
        branch: str,
        remaining_ms: Callable[[], int],
    ) -> HoldState:
        """Keep room."""
        with self._queues.turn(queue, branch) as turn:
            if turn.db.execute(KNOWN, (turn.id, branch)).fetchone() is not None:
                return HoldState.HELD
            if remaining_ms() <= 0:
                return HoldState.LATE
            if verbs.is_paused(turn):
                raise refusal("paused", queue, store=self._queues.alias)
            if not verbs.has_room(turn, queue, len(batch)):
                raise refusal("full", queue, store=self._queues.alias)
            turn.db.execute(KEEP, (turn.id, branch, len(batch), turn.now_us))
        return HoldState.HELD

    def apply(self, queue: Declaration, batch: Sequence[Outgoing], *, branch: str) -> HoldState:
        """Publish what room was held for."""
        window_ms = conf.current().queues.dedup_window_ms
        with self._queues.turn(queue, branch) as turn:
            if not turn.db.execute(LET_GO, (turn.id, branch)).fetchall():
                return HoldState.GONE
            _, fresh = verbs.fresh_of(turn, batch)
            verbs.put(turn, fresh, window_ms=window_ms)
        return HoldState.APPLIED

    def cancel(self, queue: Declaration, batch: Sequence[Outgoing], *, branch: str) -> HoldState:
        """Let go of it."""
        with self._queues.turn(queue, branch) as turn:
            turn.db.execute(LET_GO, (turn.id, branch)).fetchall()
        return HoldState.CANCELLED

    def forget(self, queue: Declaration, *, branch: str) -> None:
        """Nothing of it is left."""

    def kept(self) -> list[Kept]:
        """Of every queue."""
        with self._queues.reading() as db:
            return [Kept(*row) for row in db.execute(ALL)]
