"""One queue during one transaction of SQLite: where its messages stand, and what is told of it.

One writer at a time is let in, so what a turn does is as if it ran alone. This host's clock decides
leases and delays, in microseconds. Stages and columns are those of `tables.py`.
"""

import json
import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from coordination.queues.stores.database_records import WORDS
from coordination.queues.tables import Stage

TIDIED_MAX = 1_000
"""Messages brought on by one call."""
TIDIED_TIMES = 20
"""The same of those that have expired, which stand in the way of others."""
COLUMNS = (
    *("queue_id", "stage", "sort", "seq", "message", "body", "headers", "priority", "grp"),
    *("published_us", "due_us", "expires_us", "attempts", "taken_by", "suspect", "source", "error"),
)
INSERT = (
    f"INSERT INTO concord_queue_message ({', '.join(COLUMNS)}) "  # noqa: S608
    f"VALUES ({', '.join('?' * len(COLUMNS))})"
)
SELECT = f"SELECT {', '.join(COLUMNS)} FROM concord_queue_message WHERE "  # noqa: S608
OF_GROUP = "queue_id + 0 = ? AND grp = ? AND NOT (grp = '') AND stage IN "

Row = dict[str, Any]


@dataclass(slots=True)
class Turn:
    """What one call does to one queue, and to its dead letters."""

    db: sqlite3.Connection
    id: int
    name: str
    node: str
    op: str
    now_us: int = field(default_factory=lambda: time.time_ns() // 1_000)
    woken: list[tuple[str, str]] = field(default_factory=list)
    """Doorbells to ring after the commit, and for which op."""

    def other(self, id_: int, name: str) -> "Turn":
        """The same of another queue."""
        return Turn(self.db, id_, name, self.node, self.op, self.now_us, self.woken)

    # What is told

    def tell(self, kind: str, ids: Sequence[str] | None, **data: Any) -> None:
        """Record a change, unless it is one of no messages."""
        if ids is not None:
            if not ids:
                return
            data["ids"] = list(ids)
        said = json.dumps({"op": self.op, **data})
        self.db.execute(
            "INSERT INTO concord_queue_event (kind, name, at_us, node, data) "
            "VALUES (?, ?, ?, ?, ?)",
            (kind, self.name, self.now_us, self.node, said),
        )

    def count(self, word: str, number: int) -> None:
        """Add to the totals."""
        assert word in WORDS
        if number:
            self.db.execute(
                f"UPDATE concord_queue_tally SET {word} = {word} + ? WHERE queue_id = ?",  # noqa: S608
                (number, self.id),
            )

    def answer(self) -> str | None:
        """What this call was told before."""
        found = self.db.execute(
            "SELECT said FROM concord_queue_answer WHERE queue_id = ? AND op = ? AND until_us > ?",
            (self.id, self.op, self.now_us),
        ).fetchone()
        return None if found is None else str(found[0])

    def remember(self, said: str, kept_ms: int) -> str:
        """What this call is to be told from now on."""
        until_us = self.now_us + kept_ms * 1_000
        self.db.execute(
            "INSERT OR REPLACE INTO concord_queue_answer VALUES (?, ?, ?, ?)",
            (self.id, self.op, said, until_us),
        )
        return said

    def wake(self, count: int) -> None:
        """Those who wait, as many as there may be work for."""
        if count <= 0:
            return
        rows = self.db.execute(
            "DELETE FROM concord_queue_waiter WHERE (queue_id, op) IN (SELECT queue_id, op "
            "FROM concord_queue_waiter WHERE queue_id = ? AND until_us > ? ORDER BY until_us "
            "LIMIT ?) RETURNING channel, op",
            (self.id, self.now_us, count),
        )
        self.woken += rows.fetchall()

    # Where messages stand

    def rows(self, where: str, *values: Any) -> list[Row]:
        """Messages, which `where` tells of this queue."""
        found = self.db.execute(SELECT + where, values)
        return [dict(zip(COLUMNS, row, strict=True)) for row in found]

    def held(self) -> int:
        """What counts towards its bound: messages in whatever state, and room that is held."""
        ((number, rooms),) = self.db.execute(
            "SELECT count(*), (SELECT coalesce(sum(messages), 0) FROM concord_queue_hold "
            "WHERE queue_id = ?1) FROM concord_queue_message WHERE queue_id = ?1",
            (self.id,),
        )
        return int(number) + int(rooms)

    def numbers(self, count: int) -> range:
        """Sequence numbers for so many messages to come."""
        ((last,),) = self.db.execute(
            "UPDATE concord_queue SET last_seq = last_seq + ? WHERE id = ? RETURNING last_seq",
            (count, self.id),
        )
        return range(last - count + 1, last + 1)

    def enter(self, rows: Sequence[Row]) -> None:
        """To the end of this queue; one of a group behind the others of it."""
        for given, seq in zip(rows, self.numbers(len(rows)), strict=True):
            row = given | {"queue_id": self.id, "seq": seq}
            if row["grp"] and self._active(row["grp"]):
                row |= {"stage": Stage.BEHIND, "sort": 0}
            else:
                row.update(self._place(row, row["due_us"]))
            self.db.execute(INSERT, [row[column] for column in COLUMNS])

    def _place(self, row: Row, due_us: int) -> Row:
        """Where it may be taken from, now or when it is due."""
        if due_us > self.now_us:
            return {"stage": Stage.DELAYED, "sort": due_us}
        return {"stage": Stage.READY, "sort": 9 - row["priority"]}

    def put(self, row: Row, **changed: Any) -> None:
        """Write it as it is now."""
        new = row | changed
        sets = ", ".join(f"{column} = ?" for column in changed)
        self.db.execute(
            f"UPDATE concord_queue_message SET {sets} "  # noqa: S608
            "WHERE queue_id = ? AND stage = ? AND sort = ? AND seq = ?",
            [*(new[column] for column in changed), *self._key(row)],
        )

    def back(self, row: Row, *, due_us: int = 0, **changed: Any) -> None:
        """From its taker to where it may be taken from again."""
        self.put(row, **self._place(row, due_us), taken_by="", suspect=False, **changed)

    def drop(self, rows: Iterable[Row]) -> int:
        """Out of the queue; returns how many of their groups came forward."""
        groups = set()
        for row in rows:
            self.db.execute(
                "DELETE FROM concord_queue_message "
                "WHERE queue_id = ? AND stage = ? AND sort = ? AND seq = ?",
                self._key(row),
            )
            groups.add(row["grp"])
        return sum(self._next_of(group) for group in groups if group)

    def _key(self, row: Row) -> tuple[int, int, int, int]:
        return row["queue_id"], row["stage"], row["sort"], row["seq"]

    def _active(self, group: str) -> bool:
        stages = (Stage.READY, Stage.DELAYED, Stage.TAKEN)
        return bool(self.rows(f"{OF_GROUP}(?, ?, ?) LIMIT 1", self.id, group, *stages))

    def _next_of(self, group: str) -> int:
        if self._active(group):
            return 0
        found = self.rows(f"{OF_GROUP}(?) ORDER BY seq LIMIT 1", self.id, group, Stage.BEHIND)
        for row in found:
            self.put(row, **self._place(row, row["due_us"]))
        return len(found)

    def bury(self, rows: Sequence[Row], dead: "Turn", error: str, **more: Any) -> int:
        """To the end of the dead letter queue; returns how many of their groups came forward."""
        if not rows:
            return 0
        ids = [row["message"] for row in rows]
        freed = self.drop(rows)
        dead.enter(
            [
                row
                | {"attempts": 0, "taken_by": "", "suspect": False, "due_us": 0, "expires_us": 0}
                | {"source": self.name, "error": error}
                for row in rows
            ]
        )
        self.count("dead", len(rows))
        dead.count("moved_in", len(rows))
        self.tell("message.died", ids, error=error, to=dead.name, **more)
        dead.tell("message.buried", ids, source=self.name)
        dead.wake(len(ids))
        return freed

    # What time brings

    def bring_on(self, *, max_attempts: int, dead: "Turn | None") -> None:
        """Leases and lives end, delays are over."""
        lapsed = self.rows(
            "queue_id = ? AND stage = ? AND sort <= ? ORDER BY sort LIMIT ?",
            *(self.id, Stage.TAKEN, self.now_us, TIDIED_MAX),
        )
        dying = [each for each in lapsed if dead and each["attempts"] >= max_attempts]
        again = [each for each in lapsed if not (dead and each["attempts"] >= max_attempts)]
        for row in again:
            # They come first and alone: one of them may have killed its taker.
            self.put(row, stage=Stage.READY, sort=-1, taken_by="", suspect=True)
        self.count("lapsed", len(lapsed))
        self.tell("message.lapsed", [row["message"] for row in again])
        if dead is not None:
            self.bury(dying, dead, '"Its taker said nothing in time."', lapsed=True)
        self.expire()
        for row in self.rows(
            "queue_id = ? AND stage = ? AND sort <= ? ORDER BY sort LIMIT ?",
            *(self.id, Stage.DELAYED, self.now_us, TIDIED_MAX),
        ):
            self.put(row, stage=Stage.READY, sort=9 - row["priority"])

    def expired(self, limit: int = 1) -> list[Row]:
        """What is of no use any more."""
        return self.rows(
            "queue_id + 0 = ? AND expires_us > 0 AND taken_by = '' AND expires_us <= ? LIMIT ?",
            *(self.id, self.now_us, limit),
        )

    def expire(self) -> None:
        """Throw away what is of no use any more."""
        for _ in range(TIDIED_TIMES):
            gone = self.expired(TIDIED_MAX)
            self.drop(gone)
            self.count("expired", len(gone))
            self.tell("message.expired", [row["message"] for row in gone])
            if len(gone) < TIDIED_MAX:
                return
