"""Queues in the project's own SQLite file: single host, no server.

They are in the file that Django writes, on Django's connection, so that a publication inside the
caller's `atomic()` is part of it. Each other call is a transaction of its own; inside `atomic()`,
where nobody else may write, settling is part of it, too, and taking is refused: a rollback would
take back that the attempt was counted. Who waits is woken through a pipe beside the file.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from random import random
from typing import Any

from django.db import connections, transaction

from coordination import conf, registry
from coordination.connections.doorbell import Doorbell, ring
from coordination.connections.sqlite import DEADLINE_MS
from coordination.connections.sqlite_django import DjangoFile
from coordination.exceptions import NotSupportedByStore
from coordination.kernel.settings import StoreSettings
from coordination.locks.bells import Bell, Bells
from coordination.queues import contents, declaring, options
from coordination.queues.stores import database_records as records
from coordination.queues.stores import sqlite_sweeping
from coordination.queues.stores import sqlite_verbs as verbs
from coordination.queues.stores.picking import picked
from coordination.queues.stores.sqlite_turn import Turn
from coordination.queues.types import (
    EVERYTHING,
    KEPT_MS,
    Declaration,
    Found,
    Outgoing,
    Published,
    Seen,
    Settlement,
    State,
    Stats,
    Swept,
)

DEAF_LOOK_MS = 250
"""How soon to look again where no pipe can be made."""
EVENTS_KEPT = 100_000
TIDY_SHARE = 0.01
"""Of the calls, how many tidy up, too."""

# As the first statement it waits for the right to write; a read before it could only be refused.
ENTER = "UPDATE concord_queue SET name = name WHERE name = ?"
OF_NAME = "SELECT id, declaration FROM concord_queue WHERE name = ?"
NAMES = "SELECT name FROM concord_queue ORDER BY name"
PEEK = (
    f"SELECT {records.PEEKED} FROM concord_queue_message m WHERE m.queue_id = ? AND {{}} "  # noqa: S608
    "ORDER BY m.stage, m.sort, m.seq LIMIT ?"
)
STATS = (
    "SELECT ?, q.declaration, q.publishing_paused, q.consuming_paused, "  # noqa: S608
    f"{records.COUNTED} FROM concord_queue q LEFT JOIN concord_queue d ON d.name = ? "
    "WHERE q.id = ?"
)
FORGET = (
    "DELETE FROM concord_queue_answer WHERE until_us <= ?",
    "DELETE FROM concord_queue_dedup WHERE until_us <= ?",
    "DELETE FROM concord_queue_waiter WHERE until_us <= ?",
)
PRUNE = """
DELETE FROM concord_queue_event WHERE id <= (SELECT max(id) FROM concord_queue_event) - ?
"""


class SqliteQueues:
    """Queues of one database store; see `coordination.queues.store.QueueStore` for the verbs."""

    capabilities = EVERYTHING

    def __init__(self, settings: StoreSettings, *, node: str) -> None:
        limits: Mapping[str, Any] = settings.options
        self.alias = settings.alias
        self.database: str | None = settings.using
        self.deadline_ms: int = limits.get("deadline_ms", DEADLINE_MS)
        self._settings = settings
        self._node = node
        self._file = DjangoFile(settings.using, store=self.alias)
        self._bells = Bells()
        self._doorbell = Doorbell(self._place, heard=self._bells.ring, wanted=self._bells.__len__)

    def _place(self) -> Path:
        beside = registry.sidecar_path(self._settings)
        return beside.with_name(f"{beside.name}-queues")

    def declare(self, name: str, given: Mapping[str, Any], *, replace: bool = False) -> Declaration:
        """What the queue is, by the first who used it."""
        first = declaring.first(name, given, defaults=options.defaults())
        with self._turn(first) as turn:
            stands = verbs.declared(turn)
            if replace:
                return verbs.redeclared(turn, declaring.changed(stands, given))
        return declaring.agreed(stands, given, store=self.alias)

    def publish(
        self,
        queue: Declaration,
        batch: Sequence[Outgoing],
        *,
        op: str,
        kept_ms: int,
        content: str = "",
        deadline_ms: int | None = None,
    ) -> list[Published]:
        """Put messages into the queue, all or none; within the caller's `atomic()` if any."""
        window_ms = conf.current().queues.dedup_window_ms
        with self._turn(queue, op, deadline_ms) as turn:
            kept = verbs.publish(
                turn,
                queue,
                batch,
                kept_ms=kept_ms,
                content=contents.behind(content),
                window_ms=window_ms,
            )
        answer = contents.answered(kept, content, queue=queue.name, store=self.alias)
        return records.published(answer, batch, queue=queue, store=self.alias)

    def reserve(
        self,
        queue: Declaration,
        *,
        op: str,
        count: int,
        stay_ms: int = 0,
        kept_ms: int,
        deadline_ms: int | None = None,
    ) -> Found:
        """Take up to `count` messages, suspects alone."""
        if self._file.joined:
            raise NotSupportedByStore(
                f"Store {self.alias!r} gives out no messages inside atomic() of "
                f"{self._settings.using!r}: a rollback would forget the attempt. Take them before.",
                name=queue.name,
                store=self.alias,
            )
        with self._turn(queue, op, deadline_ms) as turn:
            channel = self._doorbell.name
            found = verbs.reserve(
                turn, queue, count=count, kept_ms=kept_ms, stay_ms=stay_ms, channel=channel
            )
        if self._doorbell.works:
            return found
        return Found(found.taken, min(found.look_again_ms, DEAF_LOOK_MS))

    def leave(self, queue: Declaration, *, op: str) -> None:
        """The `reserve` with this op waits no longer."""
        with self._turn(queue, op) as turn:
            verbs.leave(turn)

    def settle(
        self,
        queue: Declaration,
        batch: Sequence[Settlement],
        *,
        op: str,
        kept_ms: int,
        deadline_ms: int | None = None,
    ) -> list[bool]:
        """Settle taken messages, each by itself; False for a receipt that is stale."""
        with self._turn(queue, op, deadline_ms) as turn:
            answer = verbs.settle(turn, queue, batch, kept_ms=kept_ms)
        return [digit == "1" for digit in answer]

    def extend(
        self,
        queue: Declaration,
        receipts: Sequence[str],
        *,
        lease_ms: int,
        deadline_ms: int | None = None,
    ) -> list[bool]:
        """Let leases begin anew; False for a receipt that is stale."""
        with self._turn(queue, "", deadline_ms) as turn:
            return verbs.extend(turn, receipts, lease_ms=lease_ms)

    @contextmanager
    def bell(self, queue: Declaration, op: str) -> Iterator[Bell]:
        """What rings when there may be a message for the `reserve` with this op."""
        with self._bells.hung(op) as bell:
            if self._doorbell.start():
                bell.ring()
            yield bell

    def peek(self, queue: Declaration, *, state: State, limit: int) -> list[Seen]:
        """The first messages in a state."""
        with self._turn(queue) as turn:
            rows = turn.db.execute(PEEK.format(records.STAGES[state]), (turn.id, limit)).fetchall()
        return [records.seen(row, state) for row in rows]

    def move(
        self,
        source: Declaration,
        to: Declaration,
        *,
        op: str,
        limit: int,
        cursor: str | None,
        died_in: str | None = None,
        said: Mapping[str, str],
        deadline_ms: int | None = None,
    ) -> Swept:
        """One step of moving messages to another queue, or of a redrive."""
        with self._turn(source, op, deadline_ms) as turn:
            other = turn.other(self._row(turn.db, to), to.name)
            answer = sqlite_sweeping.sweep(
                turn, limit=limit, cursor=cursor, said=said, kept_ms=KEPT_MS, died_in=died_in,
                to=other, bound=to.max_length,
            )  # fmt: skip
        return records.swept(answer, to=to, store=self.alias)

    def purge(
        self,
        queue: Declaration,
        *,
        op: str,
        limit: int,
        cursor: str | None,
        said: Mapping[str, str],
        deadline_ms: int | None = None,
    ) -> Swept:
        """One step of throwing messages away."""
        with self._turn(queue, op, deadline_ms) as turn:
            answer = sqlite_sweeping.sweep(
                turn, limit=limit, cursor=cursor, said=said, kept_ms=KEPT_MS
            )
        return records.swept(answer, to=queue, store=self.alias)

    def pick(
        self,
        queue: Declaration,
        message: str,
        *,
        to: Declaration | None,
        op: str,
        died_in: str | None = None,
        said: Mapping[str, str],
        deadline_ms: int | None = None,
    ) -> bool:
        """Move one message or throw it away."""
        with self._turn(queue, op, deadline_ms) as turn:
            other = None if to is None else turn.other(self._row(turn.db, to), to.name)
            answer = sqlite_sweeping.pick(
                turn, message, said=said, kept_ms=KEPT_MS, died_in=died_in, to=other,
                bound=None if to is None else to.max_length,
            )  # fmt: skip
        return picked(answer, message, queue=queue, to=to, store=self.alias)

    def pause(
        self, queue: Declaration, *, publishing: bool, consuming: bool, said: Mapping[str, str]
    ) -> None:
        """Refuse publications, give out no messages, or go on."""
        with self._turn(queue) as turn:
            verbs.pause(turn, publishing=publishing, consuming=consuming, said=said)

    def stats(self, queue: Declaration) -> Stats:
        """How it stands."""
        with self._turn(queue) as turn:
            asked = (turn.now_us, queue.dead_letter or "", turn.id)
            row = turn.db.execute(STATS, asked).fetchone()
        return records.stats(row, queue, store=self.alias)

    def names(self) -> list[str]:
        """Queues that this store knows of, in order."""
        with self._file.transaction(self.deadline_ms) as db:
            return [name for (name,) in db.execute(NAMES)]

    # Calls

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """The same, of what stands there."""
        return self._file.transaction(self.deadline_ms)

    def turn(self, queue: Declaration, op: str) -> AbstractContextManager[Turn]:
        """A step of what is kept beside the messages; see `sqlite_holds`."""
        return self._turn(queue, op)

    @contextmanager
    def _turn(
        self, queue: Declaration, op: str = "", deadline_ms: int | None = None
    ) -> Iterator[Turn]:
        joined = self._file.joined
        with self._file.transaction(deadline_ms or self.deadline_ms) as db:
            if joined:
                db.execute(ENTER, (queue.name,))
            id_ = self._row(db, queue)
            turn = Turn(db, id_, queue.name, self._node, op)
            yield turn
            if not joined and random() < TIDY_SHARE:  # noqa: S311
                for statement in FORGET:
                    db.execute(statement, (turn.now_us,))
                db.execute(PRUNE, (EVENTS_KEPT,))
        # After the commit: whoever is woken looks at once.
        if connections[self._settings.using].in_atomic_block:
            wake = partial(self._ring, turn.woken)
            transaction.on_commit(wake, using=self._settings.using, robust=True)
        elif not joined:
            self._ring(turn.woken)

    def _row(self, db: Any, queue: Declaration) -> int:
        """The row of a queue, made if the file has none, as its first declaration or anew."""
        found = db.execute(OF_NAME, (queue.name,)).fetchone()
        if found is None:
            return verbs.made(db, queue, node=self._node)
        return int(found[0])

    def _ring(self, woken: Sequence[tuple[str, str]]) -> None:
        for channel, op in woken:
            if channel == self._doorbell.name:
                self._bells.ring(op)
            else:
                ring(self._place(), channel, op)
