"""What operators do to many messages in SQLite, or to one by its id, during a queue's turn."""

from collections.abc import Mapping, Sequence

from coordination.queues.stores.sqlite_turn import Row, Turn
from coordination.queues.tables import Stage

DIED_IN = (
    "queue_id + 0 = ? AND source = ? AND NOT (source = '') AND taken_by = '' AND seq <= ? "
    "ORDER BY seq LIMIT ?"
)
LAST_SEQ = "SELECT last_seq FROM concord_queue WHERE id = ?"


def sweep(
    turn: Turn,
    *,
    limit: int,
    cursor: str | None,
    said: Mapping[str, str],
    kept_ms: int,
    died_in: str | None = None,
    to: Turn | None = None,
    bound: int | None = None,
) -> str:
    """One step of a move, a redrive or a purge: 'full', or how many and where to go on."""
    if (before := turn.answer()) is not None:
        return before
    if to is not None and bound is not None:
        to.expire()
        limit = min(limit, bound - to.held())
        if limit <= 0:
            return "full"
    last = int(cursor) if cursor else turn.db.execute(LAST_SEQ, (turn.id,)).fetchone()[0]
    if died_in is not None:
        rows = turn.rows(DIED_IN, turn.id, died_in, last, limit)
    else:
        rows = turn.rows(
            "queue_id = ? AND stage < ? AND seq <= ? ORDER BY stage, sort, seq LIMIT ?",
            *(turn.id, Stage.TAKEN, last, limit),
        )
    _leave(turn, to, rows, said=said, redriven=died_in is not None)
    left = last if len(rows) == limit else ""
    return turn.remember(f"{len(rows)} {left}", kept_ms)


def pick(
    turn: Turn,
    message: str,
    *,
    said: Mapping[str, str],
    kept_ms: int,
    died_in: str | None = None,
    to: Turn | None = None,
    bound: int | None = None,
) -> str:
    """One message, moved or thrown away: 'full', or '1', or '0' when it is not there or taken."""
    if (before := turn.answer()) is not None:
        return before
    rows = turn.rows(
        "queue_id = ? AND stage < ? AND message = ? AND (? OR source = ?) LIMIT 1",
        *(turn.id, Stage.TAKEN, message, died_in is None, died_in or ""),
    )
    if rows and to is not None and bound is not None and to.held() >= bound:
        return "full"
    _leave(turn, to, rows, said=said, redriven=died_in is not None)
    return turn.remember(str(len(rows)), kept_ms)


def _leave(
    turn: Turn, to: Turn | None, rows: Sequence[Row], *, said: Mapping[str, str], redriven: bool
) -> None:
    """From this queue to another, or away."""
    turn.wake(turn.drop(rows))
    if to is None:
        turn.count("purged", len(rows))
        turn.tell("message.purged", [row["message"] for row in rows], said=dict(said))
    elif rows:
        _arrive(turn, to, rows, said=said, redriven=redriven)


def _arrive(
    turn: Turn, to: Turn, rows: Sequence[Row], *, said: Mapping[str, str], redriven: bool
) -> None:
    source = {"source": ""} if redriven else {}
    to.enter([row | {"attempts": 0, "suspect": False, "due_us": 0} | source for row in rows])
    ids = [row["message"] for row in rows]
    turn.count("moved_out", len(rows))
    to.count("redriven" if redriven else "moved_in", len(rows))
    turn.tell("message.moved", ids, said=dict(said), to=to.name)
    what = "message.redriven" if redriven else "message.arrived"
    to.tell(what, ids, said=dict(said), source=turn.name)
    to.wake(len(rows))
