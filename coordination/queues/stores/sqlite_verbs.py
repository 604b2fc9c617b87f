"""What each verb does to a queue in SQLite, during its turn."""

import json
import sqlite3
from collections.abc import Mapping, Sequence

from coordination.queues import declaring
from coordination.queues.stores.database_records import packed_error, proof, said
from coordination.queues.stores.sqlite_turn import Row, Turn
from coordination.queues.tables import Stage
from coordination.queues.types import (
    Declaration,
    Found,
    Outgoing,
    Settlement,
    Taken,
    Verb,
)

IDLE_MS = 60_000
"""How soon to look again where nothing is due."""

DECLARE = """
INSERT INTO concord_queue (name, declaration, publishing_paused, consuming_paused)
VALUES (?, ?, 0, 0) RETURNING id
"""
DECLARED = "SELECT declaration FROM concord_queue WHERE id = ?"
REDECLARE = "UPDATE concord_queue SET declaration = ? WHERE id = ?"
TALLY = "INSERT INTO concord_queue_tally (queue_id) VALUES (?)"
PAUSE = "UPDATE concord_queue SET publishing_paused = ?, consuming_paused = ? WHERE id = ?"
PAUSED = "SELECT publishing_paused, consuming_paused FROM concord_queue WHERE id = ?"
DEDUPED = """
SELECT message FROM concord_queue_dedup WHERE queue_id = ? AND dedup = ? AND until_us > ?
"""
DEDUP = "INSERT OR REPLACE INTO concord_queue_dedup VALUES (?, ?, ?, ?)"
WAIT = "INSERT OR REPLACE INTO concord_queue_waiter VALUES (?, ?, ?, ?)"
LEAVE = "DELETE FROM concord_queue_waiter WHERE queue_id = ? AND op = ?"
# More may have expired at once than one call throws away.
READY = (
    "queue_id = ? AND stage = ? AND (expires_us = 0 OR expires_us > ?) ORDER BY sort, seq LIMIT ?"
)
FIRST = """
SELECT sort FROM concord_queue_message WHERE queue_id = ? AND stage = ? ORDER BY sort LIMIT 1
"""
RETRIED = "message.retried"
OF_RECEIPT = "queue_id = ? AND seq + 0 = ? AND taken_by > '' AND taken_by = ? AND attempts = ?"


def made(db: sqlite3.Connection, queue: Declaration, *, node: str) -> int:
    """A queue by its declaration, and that of its dead letters: known before the first comes."""
    text = json.dumps(declaring.as_fields(queue))
    ((id_,),) = db.execute(DECLARE, (queue.name, text)).fetchall()
    db.execute(TALLY, (id_,))
    Turn(db, id_, queue.name, node, "").tell("queue.declared", None, **json.loads(text))
    dead_letter_id(db, queue, node=node)
    return int(id_)


def dead_letter_id(db: sqlite3.Connection, queue: Declaration, *, node: str) -> int | None:
    """The row of its dead letter queue, made if there is none; None where it has no such."""
    if queue.dead_letter is None:
        return None
    found = db.execute("SELECT id FROM concord_queue WHERE name = ?", (queue.dead_letter,))
    if (row := found.fetchone()) is not None:
        return int(row[0])
    kept = {"visibility_ms": queue.visibility_ms, "max_attempts": queue.max_attempts}
    letters = declaring.first(queue.dead_letter, {"dead_letter": None}, defaults=kept)
    return made(db, letters, node=node)


def declared(turn: Turn) -> Declaration:
    """What stands."""
    ((text,),) = turn.db.execute(DECLARED, (turn.id,))
    return declaring.of_fields(turn.name, json.loads(text))


def redeclared(turn: Turn, new: Declaration) -> Declaration:
    """Another declaration."""
    text = json.dumps(declaring.as_fields(new))
    if declared(turn) != new:
        turn.db.execute(REDECLARE, (text, turn.id))
        turn.tell("queue.declared", None, **json.loads(text))
        dead_letter_id(turn.db, new, node=turn.node)
    return new


def pause(turn: Turn, *, publishing: bool, consuming: bool, said: Mapping[str, str]) -> None:
    """Refuse publications, give out no messages, or go on."""
    turn.db.execute(PAUSE, (publishing, consuming, turn.id))
    turn.tell(
        "queue.paused", None, publishing=int(publishing), consuming=int(consuming), said=dict(said)
    )
    if not consuming:
        turn.wake(1_000)


def publish(
    turn: Turn,
    queue: Declaration,
    batch: Sequence[Outgoing],
    *,
    kept_ms: int,
    content: str,
    window_ms: int,
) -> str:
    """'as id id …' with a duplicate as the id of its first, then `content`; 'paused' or 'full'."""
    if (before := turn.answer()) is not None:
        return before
    if is_paused(turn):
        return "paused"
    ids, fresh = fresh_of(turn, batch)
    if not has_room(turn, queue, len(fresh)):
        return "full"
    put(turn, fresh, window_ms=window_ms)
    return turn.remember(f"as {' '.join(ids)}{content}", kept_ms)


def is_paused(turn: Turn) -> bool:
    """Whether it takes no publications."""
    ((paused, _),) = turn.db.execute(PAUSED, (turn.id,))
    return bool(paused)


def has_room(turn: Turn, queue: Declaration, number: int) -> bool:
    """Whether it may hold so many more."""
    if queue.max_length is None:
        return True
    # What is of no use any more shall not stand in the way.
    turn.expire()
    return turn.held() + number <= queue.max_length


def fresh_of(turn: Turn, batch: Sequence[Outgoing]) -> tuple[list[str], list[Outgoing]]:
    """Ids, of a duplicate that of its first; and those that are none."""
    firsts: dict[str, str] = {}
    ids = []
    for each in batch:
        first = each.id
        if each.dedup:
            known = turn.db.execute(DEDUPED, (turn.id, each.dedup, turn.now_us)).fetchone()
            first = firsts.setdefault(each.dedup, known[0] if known else each.id)
        ids.append(first)
    return ids, [each for each, first in zip(batch, ids, strict=True) if each.id == first]


def put(turn: Turn, fresh: Sequence[Outgoing], *, window_ms: int) -> None:
    """To the end of the queue."""
    for each in fresh:
        if each.dedup:
            until_us = turn.now_us + window_ms * 1_000
            turn.db.execute(DEDUP, (turn.id, each.dedup, each.id, until_us))
    turn.enter([_row(each, turn.now_us) for each in fresh])
    turn.count("published", len(fresh))
    turn.tell("message.published", [each.id for each in fresh], **_options(fresh, turn.now_us))
    turn.wake(len(fresh))


def _due_us(each: Outgoing, now_us: int) -> int:
    return now_us + each.delay_ms * 1_000 if each.delay_ms else each.due_us


def _options(batch: Sequence[Outgoing], now_us: int) -> dict[str, list[object]]:
    """For the history: of each message what it is published with, where any has such."""
    told: dict[str, list[object]] = {
        "priorities": [each.priority for each in batch],
        "dues": [_due_us(each, now_us) for each in batch],
        "groups": [each.group for each in batch],
    }
    return {word: values for word, values in told.items() if any(values)}


def _row(each: Outgoing, now_us: int) -> Row:
    return {
        "message": each.id,
        "body": each.body,
        "headers": each.headers,
        "priority": each.priority,
        "grp": each.group,
        "published_us": now_us,
        "due_us": _due_us(each, now_us),
        "expires_us": now_us + each.expires_ms * 1_000 if each.expires_ms else 0,
        "attempts": 0,
        "taken_by": "",
        "suspect": False,
        "source": "",
        "error": "",
    }


def reserve(
    turn: Turn, queue: Declaration, *, count: int, kept_ms: int, stay_ms: int, channel: str
) -> Found:
    """Take messages, or wait for one."""
    before = turn.answer()
    if before is not None:
        found = [
            turn.rows(
                "queue_id = ? AND seq + 0 = ? AND taken_by > '' AND taken_by = ?",
                *(turn.id, int(seq), turn.op),
            )
            for seq in before.split()
        ]
        return Found([_taken(row, turn.op) for rows in found for row in rows], IDLE_MS)
    dead_id = dead_letter_id(turn.db, queue, node=turn.node)
    dead = None if dead_id is None else turn.other(dead_id, str(queue.dead_letter))
    turn.bring_on(max_attempts=queue.max_attempts, dead=dead)
    ((_, paused),) = turn.db.execute(PAUSED, (turn.id,))
    rows: list[Row] = []
    if not paused:
        rows = turn.rows(READY, turn.id, Stage.READY, turn.now_us, count)
        if rows and rows[0]["sort"] < 0:
            del rows[1:]
        if not rows and turn.expired():
            return Found([], 0)  # one of a group may be behind it
    if not rows:
        return Found([], _wait(turn, stay_ms=stay_ms, channel=channel))
    ends_us = turn.now_us + queue.visibility_ms * 1_000
    taken = []
    for row in rows:
        attempts = row["attempts"] + 1
        turn.put(row, stage=Stage.TAKEN, sort=ends_us, attempts=attempts, taken_by=turn.op)
        taken.append(_taken(row | {"attempts": attempts}, turn.op))
    turn.count("delivered", len(rows))
    turn.db.execute(LEAVE, (turn.id, turn.op))
    ids, attempted = [each.id for each in taken], [each.attempts for each in taken]
    turn.tell("message.taken", ids, attempts=attempted, until=ends_us)
    turn.remember(" ".join(str(row["seq"]) for row in rows), kept_ms)
    return Found(taken, 0)


def _wait(turn: Turn, *, stay_ms: int, channel: str) -> int:
    """Be told of messages for a while, or no longer; milliseconds until there may be one."""
    if stay_ms:
        turn.db.execute(WAIT, (turn.id, turn.op, channel, turn.now_us + stay_ms * 1_000))
    else:
        turn.db.execute(LEAVE, (turn.id, turn.op))
    look_ms = IDLE_MS
    for stage in (Stage.DELAYED, Stage.TAKEN):
        for (at_us,) in turn.db.execute(FIRST, (turn.id, stage)):
            look_ms = min(look_ms, max(0, -(-(at_us - turn.now_us) // 1_000)))
    return look_ms


def leave(turn: Turn) -> None:
    """Wait no longer. Who was woken already wakes another in his place."""
    if turn.db.execute(LEAVE, (turn.id, turn.op)).rowcount == 0:
        turn.wake(1)


def _taken(row: Row, op: str) -> Taken:
    return Taken(
        row["message"],
        f"{row['attempts']}.{op}.{row['seq']}.{row['message']}",
        row["attempts"],
        row["body"],
        row["headers"],
        row["published_us"],
        row["priority"],
        row["grp"],
        row["expires_us"],
        bool(row["suspect"]),
        row["source"],
        said(row["error"]),
    )


def _of(turn: Turn, receipt: str) -> Row | None:
    """The message that this receipt is good for."""
    seq, id_ = proof(receipt)
    attempts, _, rest = receipt.partition(".")
    rows = turn.rows(OF_RECEIPT, turn.id, seq, rest.partition(".")[0], int(attempts))
    return rows[0] if rows and rows[0]["message"] == id_ else None


def settle(turn: Turn, queue: Declaration, batch: Sequence[Settlement], *, kept_ms: int) -> str:
    """A digit a receipt: 1 settled, 0 stale."""
    if (before := turn.answer()) is not None:
        return before
    dead_id = dead_letter_id(turn.db, queue, node=turn.node)
    done: dict[str, list[str]] = {}
    errors: list[str] = []
    dues: list[int] = []
    freed, digits = 0, ""
    for each in batch:
        row = _of(turn, each.receipt)
        if row is None:
            digits += "0"
            done.setdefault("message.refused", []).append(proof(each.receipt)[1])
            continue
        digits += "1"
        if each.verb is Verb.DEAD and dead_id is not None:
            dead = turn.other(dead_id, str(queue.dead_letter))
            freed += turn.bury([row], dead, packed_error(each.error))
            continue
        kind, came = _settled(turn, each, row)
        done.setdefault(kind, []).append(row["message"])
        if kind == RETRIED:
            errors.append(packed_error(each.error))
            dues.append(turn.now_us + each.delay_ms * 1_000 if each.delay_ms else 0)
        freed += came
    turn.count("acked", len(done.get("message.acked", ())))
    for kind, ids in done.items():
        more = {"errors": errors, "dues": dues} if kind == RETRIED else {}
        turn.tell(kind, ids, **more)
    # Also for one that is due later: whoever waits has to learn until when he may sleep.
    turn.wake(freed)
    return turn.remember(digits, kept_ms)


def _settled(turn: Turn, each: Settlement, row: Row) -> tuple[str, int]:
    """What was done, and how many may be taken since."""
    if each.verb is Verb.ACK:
        return "message.acked", turn.drop([row])
    if each.verb is Verb.RELEASE:
        turn.back(row, attempts=row["attempts"] - 1)
        return "message.released", 1
    due_us = turn.now_us + each.delay_ms * 1_000
    turn.back(row, due_us=due_us, error=packed_error(each.error))
    return RETRIED, 1


def extend(turn: Turn, receipts: Sequence[str], *, lease_ms: int) -> list[bool]:
    """Let leases begin anew."""
    ends_us = turn.now_us + lease_ms * 1_000
    rows = [_of(turn, receipt) for receipt in receipts]
    for row in rows:
        if row is not None:
            turn.put(row, sort=ends_us)
    ids = [row["message"] for row in rows if row is not None]
    turn.tell("message.extended", ids, until=ends_us)
    return [row is not None for row in rows]
