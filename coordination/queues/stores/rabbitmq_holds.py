"""Holds of queues in RabbitMQ, kept in the ledger: RabbitMQ itself can hold nothing.

Prepare sees that the queue is there and notes the hold. The commit publishes until the queue has
confirmed it, which no bound that users declare can refuse, and notes that it did. Whoever dies in
between lets it be published again: the messages have the same ids, and the ledger remembers those
that are done for as long as that may happen, so the copies are dropped when they are delivered.
"""

from collections.abc import Callable, Sequence

from coordination import conf
from coordination.connections.redis import RedisStore
from coordination.exceptions import Unroutable
from coordination.failpoints import hit
from coordination.kernel.holds import HoldState, Kept
from coordination.locks.redis_clock import deadline_us, forget_later
from coordination.locks.redis_hashes import pairs
from coordination.locks.repeating import repeated
from coordination.queues.stores.rabbitmq import RabbitMQQueues
from coordination.queues.stores.rabbitmq_ledger_redis import lasting_key, record_key, script_source
from coordination.queues.types import KEPT_MS, Declaration, Outgoing


class RabbitMQQueueHolds:
    """See `coordination.queues.holding.QueueHolds`."""

    def __init__(self, queues: RabbitMQQueues, ledger: RedisStore) -> None:
        self._queues = queues
        self._ledger = ledger
        self._script = ledger.script(script_source("hold"))

    def hold(
        self,
        queue: Declaration,
        batch: Sequence[Outgoing],
        *,
        branch: str,
        remaining_ms: Callable[[], int],
    ) -> HoldState:
        """Note it, once the queue is there and the server takes messages."""
        # Also one that somebody has deleted.
        self._queues.make(queue)
        until_us = deadline_us(self._ledger, remaining_ms)
        return self._said("hold", queue, branch, until_us, batch)

    def apply(self, queue: Declaration, batch: Sequence[Outgoing], *, branch: str) -> HoldState:
        """Publish until it is confirmed."""
        state = self._said("look", queue, branch)
        if state is not HoldState.HELD:
            return state
        try:
            self._publish(queue, batch, branch)
        except Unroutable:
            # Deleted since it was prepared. What is committed is published nevertheless.
            self._queues.make(queue)
            self._publish(queue, batch, branch)
        hit("rabbitmq.confirmed")
        return self._said("applied", queue, branch, conf.current().op_id_ttl_ms, batch)

    def cancel(self, queue: Declaration, batch: Sequence[Outgoing], *, branch: str) -> HoldState:
        """Let go of it, and of one that comes later."""
        return self._said("cancel", queue, branch, conf.current().op_id_ttl_ms, batch)

    def forget(self, queue: Declaration, *, branch: str) -> None:
        """Not at once: a late copy of the hold shall find that it has ended."""
        ended = self._keys(queue, branch)[1]
        forget_later(self._ledger, ended, conf.current().op_id_ttl_ms)

    def kept(self) -> list[Kept]:
        """Of every queue that was declared."""
        return [
            Kept(name, branch.decode(), int(count))
            for name in self._queues.names()
            for branch, count in pairs(self._ledger.call("HGETALL", self._holds(name)))
        ]

    def _publish(self, queue: Declaration, batch: Sequence[Outgoing], branch: str) -> None:
        # The same op publishes what was not confirmed, also after a loss.
        repeated(
            lambda deadline_ms: self._queues.publish(
                queue, batch, op=branch, kept_ms=KEPT_MS, deadline_ms=deadline_ms
            ),
            deadline_ms=self._queues.deadline_ms,
        )

    def _said(
        self,
        verb: str,
        queue: Declaration,
        branch: str,
        told: int = 0,
        batch: Sequence[Outgoing] = (),
    ) -> HoldState:
        keys = [*self._keys(queue, branch)]
        for each in batch:
            record = record_key(self._queues.alias, queue.name, each.id)
            keys += (record, lasting_key(record))
        reply: bytes = repeated(
            lambda deadline_ms: self._script(keys, (verb, branch, told), deadline_ms=deadline_ms),
            deadline_ms=self._ledger.deadline_ms,
        )
        return HoldState(reply.decode())

    def _keys(self, queue: Declaration, branch: str) -> tuple[str, str]:
        holds = self._holds(queue.name)
        return holds, f"{holds.removesuffix('holds')}ended:{branch}"

    def _holds(self, name: str) -> str:
        return f"concord:{{rabbitmq:{self._queues.alias}:{name}}}:holds"
