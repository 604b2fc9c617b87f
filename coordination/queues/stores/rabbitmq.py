"""Queues in RabbitMQ: publications confirmed, deliveries taken within this process.

RabbitMQ alone cannot say how often a message was begun, whether an ack still counted, or delay one
message. A ledger in the project's DEFAULT store does, by message id; every settlement is written
there first, and what RabbitMQ hears of it afterwards is only that it may forget the message. So an
ack whose connection was lost still counts: the message that is delivered again is dropped.

A message that is tried again after a delay, or is dead, is published anew and acked when that is
confirmed: a process that is killed in between leaves two of the same id, never none.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from coordination.connections.rabbitmq import RabbitMQStore
from coordination.exceptions import (
    OutcomeUnknown,
    StoreUnavailable,
)
from coordination.locks.bells import Bell, Bells
from coordination.queues import contents, declaring, options
from coordination.queues.stores import rabbitmq_messages as messages
from coordination.queues.stores.rabbitmq_inbox import Held, Inbox
from coordination.queues.stores.rabbitmq_ledger import (
    Begun,
    Delivered,
    Fate,
    Ledger,
    copy_after,
    mark_of,
)
from coordination.queues.stores.rabbitmq_parting import Parting, letters_of
from coordination.queues.stores.rabbitmq_publishing import Publisher
from coordination.queues.stores.rabbitmq_sweeping import Sweeper
from coordination.queues.stores.rabbitmq_unable import Unable
from coordination.queues.types import (
    Capability,
    Declaration,
    Found,
    Outgoing,
    Published,
    Settlement,
    Stats,
    Swept,
    Taken,
    Verb,
)

LOOK_AGAIN_MS = 1_000
VANISHED = "Its taker said nothing in time."


class RabbitMQQueues(Unable):
    """Queues of one RabbitMQ store; see `coordination.queues.store.QueueStore` for the verbs."""

    capabilities = frozenset({Capability.EXTEND})
    database: str | None = None

    def __init__(self, store: RabbitMQStore, ledger: Ledger) -> None:
        self.alias = store.alias
        self.deadline_ms = store.deadline_ms
        self._store = store
        self._ledger = ledger
        self._publisher = Publisher(store)
        self._parting = Parting(self._publisher, ledger)
        self._sweeper = Sweeper(store, self._publisher, ledger)
        self._start_afresh()
        _all.add(self)

    def _start_afresh(self) -> None:
        self._mutex = threading.Lock()
        self._bells = Bells()
        self._inboxes: dict[str, Inbox] = {}

    def declare(self, name: str, given: Mapping[str, Any], *, replace: bool = False) -> Declaration:
        """What the queue is, by the first who used it."""
        first = declaring.first(name, given, defaults=options.defaults())
        stands = self._ledger.declare(first, replace=False)
        if not replace:
            return declaring.agreed(stands, given, store=self.alias)
        changed = self._ledger.declare(declaring.changed(stands, given), replace=True)
        if stands.dead_letter is not None and changed.dead_letter != stands.dead_letter:
            self._publisher.unbind_dead(stands)
        return changed

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
        """Put messages into the queue. All are confirmed, or the error says how many."""
        due = time.monotonic() + (deadline_ms or self.deadline_ms) / 1000
        if content:
            said = self._ledger.said(queue.name, op, content, kept_ms, deadline_ms=deadline_ms)
            if said != content:
                raise contents.other(queue=queue.name, store=self.alias)
        envelopes = [messages.envelope(each, queue) for each in batch]
        left_ms = max(1, int((due - time.monotonic()) * 1000))
        self._publisher.publish(queue, envelopes, op=op, deadline_ms=left_ms)
        return [Published(each.id) for each in batch]

    def make(self, queue: Declaration) -> None:
        """See that the queue is there, also if somebody has deleted it."""
        self._publisher.make(queue)

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
        inbox = self._inbox(queue)
        patience_ms = self.deadline_ms if deadline_ms is None else deadline_ms
        due = time.monotonic() + patience_ms / 1000
        while (left_ms := int((due - time.monotonic()) * 1000)) > 0:
            lease_ends = time.monotonic() + queue.visibility_ms / 1000
            held = inbox.take(op, count, stay_s=stay_ms / 1000, deadline_ms=left_ms)
            if not held:
                break
            if worn := [each for each in held if messages.is_worn(each.message)]:
                held = [each for each in held if each not in worn]
                try:
                    self._parting.renew(queue, inbox, worn, deadline_ms=left_ms)
                except BaseException:
                    inbox.put_back(held)
                    raise
            begun = self._begun(queue, inbox, held, op=op, deadline_ms=left_ms)
            taken = self._taken(
                queue, inbox, held, begun, op=op, lease_ends=lease_ends, deadline_ms=left_ms
            )
            if taken:
                return Found(taken, 0)
        return Found([], LOOK_AGAIN_MS)

    def leave(self, queue: Declaration, *, op: str) -> None:
        """The `reserve` with this op waits no longer."""
        self._inbox(queue).leave(op)

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
        due = time.monotonic() + (deadline_ms or self.deadline_ms) / 1000
        marks = [mark_of(each) for each in batch]
        once = list({each.id: each for each in marks}.values())
        good = dict(
            zip(
                [each.id for each in once],
                self._ledger.settle(queue.name, once, op=op, deadline_ms=deadline_ms),
                strict=True,
            )
        )
        inbox, told, seen = self._inbox(queue), [], set[str]()
        acked, back = [], []
        for settlement, mark in zip(batch, marks, strict=True):
            told.append(good[mark.id] and mark.id not in seen)
            seen.add(mark.id)
            held = inbox.let_go(settlement.receipt) if told[-1] else None
            if held is None:
                continue  # also of a lost connection: what comes again is judged by the ledger
            left_ms = max(1, int((due - time.monotonic()) * 1000))
            if settlement.verb is Verb.ACK:
                acked.append(held)
            elif settlement.verb is Verb.DEAD:
                error = settlement.error
                self._parting.try_to_bury(queue, inbox, held, error, op=op, deadline_ms=left_ms)
            elif mark.delay_ms:
                self._parting.delay(queue, inbox, held, settlement, deadline_ms=left_ms)
            else:
                back.append(held)
        inbox.ack(acked)
        inbox.give_back(back)
        return told

    def extend(
        self,
        queue: Declaration,
        receipts: Sequence[str],
        *,
        lease_ms: int,
        deadline_ms: int | None = None,
    ) -> list[bool]:
        """Let leases begin anew, which end in this process; False for one that is not in hand."""
        inbox, until = self._inbox(queue), time.monotonic() + lease_ms / 1000
        extended = [inbox.extend(receipt, until) for receipt in receipts]
        inbox.watch()
        return extended

    def bell(self, queue: Declaration, op: str) -> AbstractContextManager[Bell]:
        """What rings when there may be a message for the `reserve` with this op."""
        return self._bells.hung(op)

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
        """One step of a redrive: those of other queues go to the end of the dead letters."""
        self._empty(source, deadline_ms)
        return self._sweeper.move(
            source, to, limit=limit, cursor=cursor, died_in=died_in, deadline_ms=deadline_ms
        )

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
        """One step of throwing away what is ready; what waits for another attempt stays."""
        self._empty(queue, deadline_ms)
        return self._sweeper.purge(
            queue, op=op, limit=limit, cursor=cursor, deadline_ms=deadline_ms
        )

    def stats(self, queue: Declaration) -> Stats:
        """How it stands, by the server's count of what is ready and by what this process holds."""
        ready, in_flight = self._count(queue)
        delayed = self._ledger.delayed(queue.name)
        dead = 0
        if queue.dead_letter is not None:
            dead = sum(self._count(letters_of(queue), letters=True))
        return Stats(
            name=queue.name,
            store=self.alias,
            at=datetime.now(UTC),
            ready=ready,
            delayed=delayed,
            in_flight=in_flight,
            dead=dead,
            declaration=queue,
            extra=MappingProxyType({"in_flight": "of this process alone"}),
        )

    def names(self) -> list[str]:
        """Queues that this store knows of, in order."""
        return self._ledger.names()

    def _begun(
        self, queue: Declaration, inbox: Inbox, held: Sequence[Held], *, op: str, deadline_ms: int
    ) -> list[Begun]:
        most = 0 if queue.dead_letter is None else queue.max_attempts
        delivered = [Delivered(each.id, messages.copy_of(each.message)) for each in held]
        try:
            return self._ledger.begin(
                queue.name,
                delivered,
                op=op,
                most=most,
                lease_ms=queue.visibility_ms,
                deadline_ms=deadline_ms,
            )
        except OutcomeUnknown:
            inbox.claim(op, held)
            raise
        except BaseException:
            inbox.put_back(held)
            raise

    def _taken(
        self,
        queue: Declaration,
        inbox: Inbox,
        held: Sequence[Held],
        begun: Sequence[Begun],
        *,
        op: str,
        lease_ends: float,
        deadline_ms: int,
    ) -> list[Taken]:
        """Those that have begun; the others go back, or where they belong."""
        inbox.put_back(held[len(begun) :])
        taken, done, dead = [], [], []
        for each, told in zip(held, begun, strict=False):
            if told.fate in (Fate.DONE, Fate.TWIN):
                done.append(each)
            elif told.fate is Fate.EARLY:
                copy = copy_after(told.attempts, told.taker)
                self._parting.put_off(
                    *(queue, inbox, each),
                    copy=copy,
                    delay_ms=told.left_ms,
                    deadline_ms=deadline_ms,
                )
            elif told.fate is Fate.DEAD:
                dead.append((each, VANISHED if told.suspect else told.error))
            else:
                receipt = f"{told.attempts}.{op}.{each.id}"
                inbox.hold(receipt, each, lease_ends)
                taken.append(
                    messages.taken(
                        each.message,
                        each.id,
                        receipt=receipt,
                        attempts=told.attempts,
                        suspect=told.suspect,
                        error=told.error,
                    )
                )
        inbox.ack(done)
        if taken:
            inbox.watch()
        buried = [
            self._parting.try_to_bury(queue, inbox, each, error, op=op, deadline_ms=deadline_ms)
            for each, error in dead
        ]
        if not taken and not all(buried):
            raise StoreUnavailable(
                f"Queue {queue.name!r}: its dead letters cannot be published for now.",
                name=queue.name,
                store=self.alias,
            )
        return taken

    def _count(self, queue: Declaration, *, letters: bool = False) -> tuple[int, int]:
        inbox = self._inbox(queue, known=not letters)
        inbox.settle_down()
        return inbox.counted()

    def _empty(self, queue: Declaration, deadline_ms: int | None) -> None:
        patience_ms = self.deadline_ms if deadline_ms is None else deadline_ms
        self._inbox(queue).empty(deadline_ms=patience_ms)

    def _inbox(self, queue: Declaration, *, known: bool = True) -> Inbox:
        with self._mutex:
            inbox = self._inboxes.get(queue.name)
            if inbox is None:
                inbox = self._inboxes[queue.name] = Inbox(self._store, queue, self._bells)
            elif known:
                inbox.queue = queue
            return inbox


_all: weakref.WeakSet[RabbitMQQueues] = weakref.WeakSet()


def _forked() -> None:
    """What was delivered to the parent is the parent's."""
    for each in list(_all):
        each._start_afresh()


os.register_at_fork(after_in_child=_forked)
