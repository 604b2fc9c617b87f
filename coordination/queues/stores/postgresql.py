"""Queues in PostgreSQL: one SQL function a verb, each of them one step with its event.

All but `publish` run on connections of their own, never inside the caller's transaction: a rollback
would take back that an attempt was counted, or let others take what this one has. Publishing inside
`atomic()` of the store's own alias runs on Django's connection and is part of that transaction. The
server's clock decides leases and delays. `sql/0009_queues.sql` says who waits for whom.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from random import random
from typing import Any

from django.db import connections, transaction

from coordination import conf
from coordination.connections import database
from coordination.connections.database import ConnectionLost, Statement, StatementRefused
from coordination.connections.postgresql_listener import Listener
from coordination.connections.postgresql_pool import CONNECT_MS, DEADLINE_MS, Pool, Row, Value
from coordination.exceptions import CoordinationError, NotSupportedByStore, StoreUnavailable
from coordination.kernel.settings import StoreSettings
from coordination.locks.bells import Bell, Bells
from coordination.locks.repeating import repeated
from coordination.queues import contents, declaring, options
from coordination.queues.stores import database_records as records
from coordination.queues.stores.picking import picked
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
"""How soon to look again while nothing is heard of publications."""
WAIT_SHARE = 0.8
"""Of the deadline, for which a call waits for others who publish within a transaction."""
TIDY_SHARE = 0.01
"""Of the calls, how many tidy up, too; each then forgets more than it made."""

NAMES = "SELECT name FROM concord_queue ORDER BY name"
TIDY = "SELECT concord_queue_tidy()"
PEEK = f"""
SELECT {records.PEEKED} FROM concord_queue q JOIN concord_queue_message m ON m.queue_id = q.id
WHERE q.name = $1 AND {{}} ORDER BY m.stage, m.sort, m.seq LIMIT $2"""  # noqa: S608
STATS = f"""
SELECT concord_now_us(), q.declaration, q.publishing_paused::int, q.consuming_paused::int,
    {records.COUNTED}
FROM concord_queue q LEFT JOIN concord_queue d ON d.name = $2 WHERE q.name = $1"""  # noqa: S608


class PostgresQueues:
    """Queues of one database store; see `coordination.queues.store.QueueStore` for the verbs."""

    capabilities = EVERYTHING

    def __init__(self, settings: StoreSettings, *, node: str) -> None:
        limits: Mapping[str, Any] = settings.options
        self.alias = settings.alias
        self.database: str | None = settings.using
        self.deadline_ms: int = limits.get("deadline_ms", DEADLINE_MS)
        self._using = settings.using
        self._node = f"{self.alias} {node}"
        self._bells = Bells()
        self._pool = Pool(
            settings.using, store=self.alias, connect_ms=limits.get("connect_ms", CONNECT_MS)
        )
        self._listener = Listener(
            self._pool,
            heard=self._bells.ring,
            missed=self._bells.ring_all,
            wanted=self._bells.__len__,
        )

    def declare(self, name: str, given: Mapping[str, Any], *, replace: bool = False) -> Declaration:
        """What the queue is, by the first who used it."""
        first = declaring.first(name, given, defaults=options.defaults())
        stands = self._declared(first)
        if replace:
            return self._declared(declaring.changed(stands, given), replace=True)
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
        joined = database.in_transaction(self._using)
        window_ms = conf.current().queues.dedup_window_ms
        told = (
            *(kept_ms, contents.behind(content), queue.max_length, window_ms),
            "false" if joined else "true",
            *records.columns(batch),
            self._wait_ms(deadline_ms),
        )

        def put() -> str:
            if joined:
                return self._join("publish", queue.name, op, *told)
            return self._said("publish", queue.name, op, *told, deadline_ms=deadline_ms)

        kept = self._known(put, queue)
        if kept == "blind":
            raise self._blind(queue)
        answer = contents.answered(kept, content, queue=queue.name, store=self.alias)
        if joined and answer not in {"paused", "full"}:
            self._wake_after_commit(queue.name, len(batch))
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
        dies = queue.dead_letter is not None
        told = (kept_ms, count, queue.visibility_ms * 1000, queue.max_attempts if dies else 0)

        def take() -> Row:
            (row,) = self._run(
                "SELECT * FROM concord_queue_reserve($1,$2,$3,$4,$5,$6,$7,$8,$9,$10)",
                *(self._node, queue.name, op, *told, queue.dead_letter or ""),
                *(self._listener.channel, stay_ms * 1000),
                deadline_ms=deadline_ms,
            )
            return row

        answer, look_us, lines = take()
        if answer == "undeclared":
            self._declared(queue)
            _, look_us, lines = take()
        taken = records.taken(lines, op)
        look_ms = 0 if taken else -(-int(look_us or 0) // 1000)
        return Found(taken, look_ms if self._listener.hears else min(look_ms, DEAF_LOOK_MS))

    def leave(self, queue: Declaration, *, op: str) -> None:
        """The `reserve` with this op waits no longer."""
        self._run("SELECT concord_queue_leave($1, $2)", queue.name, op)

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
        asked = records.Asked([each.receipt for each in batch])
        told = (kept_ms, queue.dead_letter or "", *asked.columns, *asked.verbs(batch))
        digits = self._known(
            lambda: self._said("settle", queue.name, op, *told, deadline_ms=deadline_ms), queue
        )
        return asked.answers(digits)

    def extend(
        self,
        queue: Declaration,
        receipts: Sequence[str],
        *,
        lease_ms: int,
        deadline_ms: int | None = None,
    ) -> list[bool]:
        """Let leases begin anew; False for a receipt that is stale."""
        asked = records.Asked(receipts)
        told = (queue.name, lease_ms * 1000, *asked.columns[:2])
        digits = self._known(lambda: self._said("extend", *told, deadline_ms=deadline_ms), queue)
        return asked.answers(digits)

    @contextmanager
    def bell(self, queue: Declaration, op: str) -> Iterator[Bell]:
        """What rings when there may be a message for the `reserve` with this op."""
        with self._bells.hung(op) as bell:
            self._listener.start()
            yield bell

    def peek(self, queue: Declaration, *, state: State, limit: int) -> list[Seen]:
        """The first messages in a state."""
        rows = self._run(PEEK.format(records.STAGES[state]), queue.name, limit)
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
        told = (KEPT_MS, limit, cursor, died_in or "", records.storable(json.dumps(said)))
        verb = ("sweep", source.name, op, *told, to.name, to.max_length, self._wait_ms(deadline_ms))
        answer = self._known(lambda: self._said(*verb, deadline_ms=deadline_ms), source, to)
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
        told = (KEPT_MS, limit, cursor, "", records.storable(json.dumps(said)), "", None)
        verb = ("sweep", queue.name, op, *told, self._wait_ms(deadline_ms))
        answer = self._known(lambda: self._said(*verb, deadline_ms=deadline_ms), queue)
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
        told = (KEPT_MS, message, died_in or "", records.storable(json.dumps(said)))
        where = ("", None) if to is None else (to.name, to.max_length)
        verb = ("pick", queue.name, op, *told, *where)
        known = (queue,) if to is None else (queue, to)
        answer = self._known(lambda: self._said(*verb, deadline_ms=deadline_ms), *known)
        return picked(answer, message, queue=queue, to=to, store=self.alias)

    def pause(
        self, queue: Declaration, *, publishing: bool, consuming: bool, said: Mapping[str, str]
    ) -> None:
        """Refuse publications, give out no messages, or go on."""
        words = records.storable(json.dumps(said))
        told = (queue.name, str(publishing).lower(), str(consuming).lower(), words)
        self._known(lambda: self._said("pause", *told), queue)

    def stats(self, queue: Declaration) -> Stats:
        """How it stands."""
        rows = self._run(STATS, queue.name, queue.dead_letter or "")
        if not rows:
            self._declared(queue)
            rows = self._run(STATS, queue.name, queue.dead_letter or "")
        return records.stats(rows[0], queue, store=self.alias)

    def names(self) -> list[str]:
        """Queues that this store knows of, in order."""
        return sorted(str(name) for (name,) in self._run(NAMES))

    # Calls

    def _wait_ms(self, deadline_ms: int | None) -> int:
        """How long the server waits for others before it refuses."""
        return max(1, int((deadline_ms or self.deadline_ms) * WAIT_SHARE))

    def _known(self, call: Any, *queues: Declaration) -> str:
        """The answer of a call; a queue that the store forgot is declared anew before."""
        answer: str = call()
        if answer == "undeclared":
            for each in queues:
                self._declared(each)
            answer = call()
            if answer == "undeclared":
                raise self._not_joined(f"it does not see queue {queues[0].name!r}: begin it anew")
        return answer

    def _said(self, verb: str, *told: Value, deadline_ms: int | None = None) -> str:
        ((answer,),) = self._run(
            _function(verb, [f"${number + 1}" for number in range(1 + len(told))]),
            *(self._node, *told),
            deadline_ms=deadline_ms,
        )
        if random() < TIDY_SHARE:  # noqa: S311
            # The call was answered; if this fails, a later one will.
            with suppress(CoordinationError):
                self._run(TIDY)
        return str(answer)

    def _run(self, sql: str, *params: Value, deadline_ms: int | None = None) -> list[Row]:
        return self._pool.run(sql, params, deadline_ms=deadline_ms or self.deadline_ms)

    def _join(self, verb: str, *told: Value) -> str:
        """The same within the transaction that the caller has open."""
        connection = connections[self._using]
        # Of a block that can only be rolled back, what is written would be lost without a word.
        connection.validate_no_broken_transaction()
        statement = Statement(
            _function(verb, ["%s"] * (1 + len(told))), (self._node, *map(_clean, told))
        )
        try:
            replies = database.run(self._using, statement, deadline_ms=self.deadline_ms)
        except StatementRefused as refused:
            if connection.in_atomic_block:
                connection.needs_rollback = True
            raise self._not_joined(refused) from refused
        except ConnectionLost as lost:
            # Before the commit, so that nothing of it will ever be applied.
            raise self._not_joined(lost) from lost
        return str(replies[0].rows[0][0])

    def _not_joined(self, error: Exception | str) -> StoreUnavailable:
        return StoreUnavailable(
            f"Store {self.alias!r} in database {self._using!r}: the transaction cannot be "
            f"committed: {error}.",
            store=self.alias,
            reason=str(error),
        )

    def _blind(self, queue: Declaration) -> NotSupportedByStore:
        return NotSupportedByStore(
            f"Queue {queue.name!r} has a max_length, which a transaction of {self._using!r} in "
            "REPEATABLE READ or SERIALIZABLE cannot keep: it does not see what others published "
            "meanwhile. Publish in READ COMMITTED, or after the transaction.",
            name=queue.name,
            store=self.alias,
        )

    def _wake_after_commit(self, name: str, count: int) -> None:
        # Neither NOTIFY nor on_commit() goes with a transaction that is prepared: its finish comes
        # when nobody knows of them any more, and consumers look for themselves.
        atomic = connections[self._using].in_atomic_block
        if atomic and not database.commit_is_held(self._using):
            wake = partial(self.wake, name, count)
            transaction.on_commit(wake, using=self._using, robust=True)

    def wake(self, name: str, count: int) -> None:
        """Tell those who wait of messages that were committed without a word."""
        # It is published; who is not woken looks for himself.
        with suppress(CoordinationError):
            self._run("SELECT concord_queue_wake_by_name($1, $2)", name, count)

    def _declared(self, queue: Declaration, *, replace: bool = False) -> Declaration:
        text = records.storable(json.dumps(declaring.as_fields(queue)))
        # A repetition finds what the first has declared.
        answer = repeated(
            lambda deadline_ms: self._said(
                "declare", queue.name, text, str(replace).lower(), deadline_ms=deadline_ms
            ),
            deadline_ms=self.deadline_ms,
        )
        stands = declaring.of_fields(queue.name, json.loads(answer))
        if stands.dead_letter is not None and stands == queue:
            # It shall be known before the first letter comes.
            kept = {"visibility_ms": queue.visibility_ms, "max_attempts": queue.max_attempts}
            letters = declaring.first(stands.dead_letter, {"dead_letter": None}, defaults=kept)
            self._declared(letters)
        return stands


def _function(verb: str, marks: Sequence[str]) -> str:
    return f"SELECT concord_queue_{verb}({','.join(marks)})"


def _clean(value: Value) -> Value:
    """As PostgreSQL takes text: no NUL, no lone surrogate."""
    if not isinstance(value, str):
        return value
    return value.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
