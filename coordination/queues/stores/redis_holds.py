"""Holds of queues in Redis: one Lua script a verb; `lua/holds/hold.lua` says what is kept where."""

from collections.abc import Callable, Sequence
from typing import Any

from coordination import conf
from coordination.connections.redis import RedisStore
from coordination.kernel.holds import HoldState, Kept
from coordination.locks.redis_clock import deadline_us, forget_later
from coordination.locks.redis_hashes import hashes
from coordination.locks.repeating import repeated
from coordination.queues import declaring
from coordination.queues.holding import refusal
from coordination.queues.stores import redis_records as records
from coordination.queues.stores.redis import RedisQueues
from coordination.queues.stores.redis_keys import (
    ANSWER,
    dedup_key,
    keys_of,
    shard_of,
    shard_prefix,
)
from coordination.queues.stores.redis_scripts import source
from coordination.queues.types import Declaration, Outgoing


class RedisQueueHolds:
    """See `coordination.queues.holding.QueueHolds`."""

    def __init__(self, queues: RedisQueues, store: RedisStore, *, node: str) -> None:
        self._queues = queues
        self._store = store
        self._node = node
        verbs = ("hold", "apply", "cancel")
        self._scripts = {verb: store.script(source(f"holds/{verb}")) for verb in verbs}

    def hold(
        self,
        queue: Declaration,
        batch: Sequence[Outgoing],
        *,
        branch: str,
        remaining_ms: Callable[[], int],
    ) -> HoldState:
        """Keep room, until the deadline by the server's clock."""
        until_us = deadline_us(self._store, remaining_ms)
        bound = "" if queue.max_length is None else queue.max_length
        said = self._said("hold", queue, branch, len(batch), bound, until_us)
        if said == "undeclared":
            # The store has forgotten it: it was flushed.
            self._queues.declare(queue.name, declaring.as_fields(queue))
            said = self._said("hold", queue, branch, len(batch), bound, until_us)
        if said in ("full", "paused"):
            raise refusal(said, queue, store=self._queues.alias)
        return HoldState(said)

    def apply(self, queue: Declaration, batch: Sequence[Outgoing], *, branch: str) -> HoldState:
        """Publish what room was held for."""
        told: list[Any] = [conf.current().queues.dedup_window_ms]
        for each in batch:
            told += records.in_full(each)
        firsts = [dedup_key(queue.name, each.dedup) for each in batch if each.dedup]
        return HoldState(self._said("apply", queue, branch, *told, more=firsts))

    def cancel(self, queue: Declaration, batch: Sequence[Outgoing], *, branch: str) -> HoldState:
        """Let go of it, and of one that comes later."""
        return HoldState(self._said("cancel", queue, branch, conf.current().op_id_ttl_ms))

    def forget(self, queue: Declaration, *, branch: str) -> None:
        """Not at once: a late copy of the hold shall find that it has ended."""
        ended = _own_keys(queue.name, branch)[1]
        forget_later(self._store, ended, conf.current().op_id_ttl_ms)

    def kept(self) -> list[Kept]:
        """Of every queue."""
        return [
            Kept(key.partition("}:holds:")[2], branch.decode(), int(count))
            for key, found in hashes(self._store, "concord:{queue-*}:holds:*")
            for branch, count in found
        ]

    def _said(
        self, verb: str, queue: Declaration, branch: str, *told: Any, more: Sequence[str] = ()
    ) -> str:
        keys = keys_of(queue.name)
        all_keys = (
            *(*keys[:ANSWER], keys[ANSWER] + branch, *keys[ANSWER + 1 :]),
            *(*_own_keys(queue.name, branch), *more),
        )
        given = (queue.name, self._node, branch, *told)
        reply: bytes = repeated(
            lambda deadline_ms: self._scripts[verb](all_keys, given, deadline_ms=deadline_ms),
            deadline_ms=self._queues.deadline_ms,
        )
        return reply.decode()


def _own_keys(name: str, branch: str) -> tuple[str, str]:
    prefix = shard_prefix(shard_of(name))
    return f"{prefix}holds:{name}", f"{prefix}ended:{len(name)}:{name}:{branch}"
