"""Queues in Redis: one Lua script a verb, each of them one atomic step with its event.

The server's clock decides leases and delays; `lua/head.lua` says what is kept where. A receipt is
the op of the `reserve` that took the message, and the number of the attempt: whoever takes it next
has another. A batch is one call of a script and one event.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from coordination import conf
from coordination.connections.redis import Command, RedisStore
from coordination.exceptions import QueueFull, QueuePaused
from coordination.locks.bells import Bell
from coordination.locks.repeating import repeated
from coordination.locks.stores.redis_bells import RedisBells
from coordination.queues import contents, declaring, options
from coordination.queues.stores import redis_records as records
from coordination.queues.stores.picking import picked
from coordination.queues.stores.redis_keys import ANSWER, SHARDS, dedup_key, keys_of, names_key
from coordination.queues.stores.redis_scripts import VERBS, source
from coordination.queues.types import (
    EVERYTHING,
    KEPT_MS,
    Capability,
    Declaration,
    Found,
    Outgoing,
    Published,
    Seen,
    Settlement,
    State,
    Stats,
    Swept,
    Verb,
)

_LAPSED = records.packed_error("Its taker said nothing in time.")


class RedisQueues:
    """Queues of one Redis store; see `coordination.queues.store.QueueStore` for the verbs."""

    capabilities = EVERYTHING - {Capability.JOINS_TRANSACTION}
    database: str | None = None

    def __init__(self, store: RedisStore, *, node: str) -> None:
        self.alias = store.alias
        self.deadline_ms = store.deadline_ms
        self._store = store
        self._node = node
        self._bells = RedisBells(store)
        self._scripts = {verb: store.script(source(verb)) for verb in VERBS}

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
        """Put messages into the queue, all or none."""
        told: list[Any] = [kept_ms, "" if queue.max_length is None else queue.max_length]
        told += (conf.current().queues.dedup_window_ms, contents.behind(content))
        firsts: list[str] = []
        if all(map(records.is_plain, batch)):
            told += records.as_blocks(batch)
        else:
            told.append("full")
            for each in batch:
                told += records.in_full(each)
                if each.dedup:
                    firsts.append(dedup_key(queue.name, each.dedup))
        reply = self._run("publish", queue, op, *told, more=firsts, deadline_ms=deadline_ms)
        answer = contents.answered(reply.decode(), content, queue=queue.name, store=self.alias)
        if answer == "ok":
            return [Published(each.id) for each in batch]
        if answer == "full":
            raise self._full(queue)
        if answer == "paused":
            raise QueuePaused(
                f"Queue {queue.name!r}: publishing is paused; nothing was published.",
                name=queue.name,
                store=self.alias,
            )
        ids = answer.split(" ")[1:]
        return [Published(id_, id_ != each.id) for id_, each in zip(ids, batch, strict=True)]

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

        def take() -> Any:
            return self._run(
                *("reserve", queue, op, kept_ms, count, queue.visibility_ms * 1000),
                *(queue.max_attempts if dies else 0, f"{self._bells.channel} {op}"),
                stay_ms * 1000,
                deadline_ms=deadline_ms,
            )

        reply = take()
        if reply[0] and dies:
            self._bury(queue, op)
            if len(reply) == 2:
                reply = take()
        taken = records.taken(reply, op)
        return Found(taken, 0 if taken else -(-int(reply[1]) // 1000))

    def leave(self, queue: Declaration, *, op: str) -> None:
        """The `reserve` with this op waits no longer."""
        self._run("leave", queue, op, f"{self._bells.channel} {op}")

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
        dead = (any(each.verb is Verb.DEAD for each in batch) and queue.dead_letter) or ""
        told = (kept_ms, *records.settlements(batch, dead=dead))
        other = keys_of(dead) if dead else ()
        reply = self._run("settle", queue, op, *told, more=other, deadline_ms=deadline_ms)
        return [digit == ord("1") for digit in reply]

    def extend(
        self,
        queue: Declaration,
        receipts: Sequence[str],
        *,
        lease_ms: int,
        deadline_ms: int | None = None,
    ) -> list[bool]:
        """Let leases begin anew; False for a receipt that is stale."""
        told: list[Any] = [lease_ms * 1000]
        for receipt in receipts:
            told += records.proof(receipt)
        reply = self._run("extend", queue, "", *told, deadline_ms=deadline_ms)
        return [digit == ord("1") for digit in reply]

    def bell(self, queue: Declaration, op: str) -> AbstractContextManager[Bell]:
        """What rings when there may be a message for the `reserve` with this op."""
        return self._bells.hung(op)

    def peek(self, queue: Declaration, *, state: State, limit: int) -> list[Seen]:
        """The first messages in a state."""
        return list(records.seen(self._run("peek", queue, "", state, limit), state))

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
        bound = "" if to.max_length is None else to.max_length
        told = (KEPT_MS, limit, cursor or "", died_in or "", json.dumps(said), to.name, bound)
        reply = self._run(
            *("move", source, op, *told),
            more=keys_of(to.name),
            deadline_ms=deadline_ms,
            also=to,
        )
        if reply == b"full":
            raise self._full(to)
        return _swept(reply)

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
        told = (KEPT_MS, limit, cursor or "", json.dumps(said))
        return _swept(self._run("purge", queue, op, *told, deadline_ms=deadline_ms))

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
        bound = "" if to is None or to.max_length is None else to.max_length
        where = ("", "") if to is None else (to.name, bound)
        reply = self._run(
            *("pick", queue, op, KEPT_MS, message, died_in or "", json.dumps(said), *where),
            more=() if to is None else keys_of(to.name),
            deadline_ms=deadline_ms,
            also=to,
        )
        return picked(reply.decode(), message, queue=queue, to=to, store=self.alias)

    def pause(
        self, queue: Declaration, *, publishing: bool, consuming: bool, said: Mapping[str, str]
    ) -> None:
        """Refuse publications, give out no messages, or go on."""
        self._run("pause", queue, "", int(publishing), int(consuming), json.dumps(said))

    def stats(self, queue: Declaration) -> Stats:
        """How it stands."""
        dead = keys_of(queue.dead_letter) if queue.dead_letter else ()
        reply = self._run("stats", queue, "", more=dead)
        return records.stats(reply, queue, store=self.alias)

    def names(self) -> list[str]:
        """Queues that this store knows of, in order."""
        found = self._store.pipeline([("SMEMBERS", names_key(each)) for each in range(SHARDS)])
        return sorted(name.decode() for names in found for name in names)

    def _run(
        self,
        verb: str,
        queue: Declaration,
        op: str,
        *told: Any,
        more: Sequence[str] = (),
        deadline_ms: int | None = None,
        also: Declaration | None = None,
    ) -> Any:
        """One verb; a queue that the store forgot is declared anew, since nothing was done then."""
        keys, given = self._call(queue.name, op, *told, more=more)
        reply = self._scripts[verb](keys, given, deadline_ms=deadline_ms)
        if reply == b"undeclared":
            for each in (queue, also):
                if each is not None:
                    self._declared(each)
            reply = self._scripts[verb](keys, given, deadline_ms=deadline_ms)
        return reply

    def _call(
        self, name: str, op: str, *told: Any, more: Sequence[str] = ()
    ) -> tuple[Command, Command]:
        """Keys and arguments as `head.lua` declares them."""
        keys = keys_of(name)
        own = (*keys[:ANSWER], keys[ANSWER] + op, *keys[ANSWER + 1 :])
        return (*own, *more), (name, self._node, op, *told)

    def _declared(self, queue: Declaration, *, replace: bool = False) -> Declaration:
        text = json.dumps(declaring.as_fields(queue))
        keys, given = self._call(queue.name, "", text, int(replace))
        # A repetition finds what the first has declared.
        reply = repeated(
            lambda deadline_ms: self._scripts["declare"](keys, given, deadline_ms=deadline_ms),
            deadline_ms=self.deadline_ms,
        )
        stands = records.declaration(reply.decode(), queue.name)
        if stands.dead_letter is not None and stands == queue:
            # It shall be known before the first letter comes.
            self._declare_dead_letters(stands)
        return stands

    def _declare_dead_letters(self, queue: Declaration) -> None:
        assert queue.dead_letter is not None
        kept = {"visibility_ms": queue.visibility_ms, "max_attempts": queue.max_attempts}
        letters = declaring.first(queue.dead_letter, {"dead_letter": None}, defaults=kept)
        keys, given = self._call(letters.name, "", json.dumps(declaring.as_fields(letters)), 0)
        self._scripts["declare"](keys, given)

    def _bury(self, queue: Declaration, op: str) -> None:
        """Make dead letters of those whose last attempt ended without a word."""
        assert queue.dead_letter is not None
        self._run(
            *("bury", queue, op, queue.max_attempts, queue.dead_letter, _LAPSED),
            more=keys_of(queue.dead_letter),
        )

    def _full(self, queue: Declaration) -> QueueFull:
        return QueueFull(
            f"Queue {queue.name!r} holds {queue.max_length} messages, its max_length, or would "
            "hold more; nothing was published.",
            name=queue.name,
            store=self.alias,
        )


def _swept(reply: bytes) -> Swept:
    done, _, cursor = reply.decode().partition(" ")
    return Swept(int(done), cursor or None)
