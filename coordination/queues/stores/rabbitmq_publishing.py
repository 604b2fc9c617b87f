"""Publishing to RabbitMQ: every message is confirmed by a queue, or the error says it was not."""

from __future__ import annotations

import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence

from coordination.connections.rabbitmq import (
    ACCESS_REFUSED,
    Envelope,
    RabbitMQRefused,
    RabbitMQStore,
    Role,
    Steps,
    Verdict,
    Wire,
)
from coordination.exceptions import (
    OutcomeUnknown,
    QueueFull,
    StoreUnavailable,
    Unroutable,
)
from coordination.queues.stores import rabbitmq_topology as topology
from coordination.queues.types import Declaration

logger = logging.getLogger(__name__)

HALVES_MAX = 1_000
"""Calls that came half through, of which it is remembered which half."""

Prepared = Callable[[Wire], Steps[str]]
"""Declares what is needed on a connection; returns the exchange."""


class Publisher:
    """For all threads of the process."""

    def __init__(self, store: RabbitMQStore) -> None:
        self._store = store
        self._halves: OrderedDict[str, set[str]] = OrderedDict()
        """Op → ids that were confirmed, of calls that were not through."""

    def publish(
        self,
        queue: Declaration,
        envelopes: Sequence[Envelope],
        *,
        op: str,
        deadline_ms: int | None,
    ) -> None:
        """Publish all; the same op again publishes those that were not confirmed.

        Raises QueueFull, Unroutable, StoreUnavailable: nothing was published; OutcomeUnknown, also
        when the queue took only some.
        """
        before = self._halves.get(op, set())
        rest = [each for each in envelopes if each.id not in before]
        verdicts: list[Verdict | None] = [None] * len(rest)
        try:
            self._send(self._to(queue), rest, verdicts, queue=queue, deadline_ms=deadline_ms)
        except (StoreUnavailable, OutcomeUnknown) as error:
            if self._remember(op, before, rest, verdicts) and not isinstance(error, OutcomeUnknown):
                raise self._partly(queue, len(before), len(envelopes)) from error
            raise
        said = Counter(verdicts)
        if said[Verdict.CONFIRMED] == len(rest):
            self._halves.pop(op, None)
            return
        confirmed = self._remember(op, before, rest, verdicts)
        if confirmed:
            raise self._partly(queue, confirmed, len(envelopes))
        raise self._refusal(queue, said)

    def delay(self, copy: Envelope, rung_ms: int, *, deadline_ms: int | None) -> None:
        """Publish it to its queue for later. Raises StoreUnavailable, OutcomeUnknown."""
        alias = self._store.alias
        said = self._send_again(
            lambda wire: topology.declare_rung(wire, rung_ms, store=alias),
            [copy],
            queue=None,
            deadline_ms=deadline_ms,
        )
        if said != [Verdict.CONFIRMED]:
            raise StoreUnavailable(
                f"RabbitMQ store {alias!r} took no message with a delay.", store=alias
            )

    def send(
        self, queue: Declaration, envelopes: Sequence[Envelope], *, deadline_ms: int | None
    ) -> list[Verdict]:
        """Publish copies, each to the queue of its key: `queue`, or its dead letters.

        What the server says of each. Raises StoreUnavailable, OutcomeUnknown.
        """
        return self._send_again(self._to(queue), envelopes, queue=queue, deadline_ms=deadline_ms)

    def refusal(self, queue: Declaration, said: Sequence[Verdict]) -> QueueFull | Unroutable:
        """The error that tells of a queue that took nothing."""
        return self._refusal(queue, Counter(said))

    def make(self, queue: Declaration) -> None:
        """Declare the queue anew. Raises StoreUnavailable, also of a server that takes nothing."""
        alias, name = self._store.alias, queue.name
        self._refuse_blocked(name)

        def steps(wire: Wire) -> Steps[None]:
            wire.known.discard((name, queue.dead_letter))
            yield from topology.declare(wire, queue, store=alias)

        self._store.run(steps, role=Role.PUBLISH)

    def unbind_dead(self, queue: Declaration) -> None:
        """The server's own dead letters of `queue` go to its former dead letters no more."""
        former, alias = queue.dead_letter, self._store.alias
        assert former is not None

        def steps(wire: Wire) -> Steps[None]:
            yield from topology.declare(wire, queue, store=alias)
            yield from topology.unbind_dead(wire, queue.name, former, store=alias)
            wire.known.discard((queue.name, former))

        self._store.run(steps, role=Role.PUBLISH)

    def _to(self, queue: Declaration) -> Prepared:
        def prepared(wire: Wire) -> Steps[str]:
            yield from topology.declare(wire, queue, store=self._store.alias)
            return topology.QUEUES

        return prepared

    def _send_again(
        self,
        prepared: Prepared,
        envelopes: Sequence[Envelope],
        *,
        queue: Declaration | None,
        deadline_ms: int | None,
    ) -> list[Verdict]:
        """Publish copies of what was published before: a queue that was deleted is made anew."""
        due = time.monotonic() + (deadline_ms or self._store.deadline_ms) / 1000
        said: dict[int, Verdict] = {}
        for _ in range(2):
            lost = [
                number
                for number in range(len(envelopes))
                if said.get(number, Verdict.UNROUTABLE) is Verdict.UNROUTABLE
            ]
            if not lost:
                break
            verdicts: list[Verdict | None] = [None] * len(lost)
            some, left_ms = (
                [envelopes[number] for number in lost],
                int((due - time.monotonic()) * 1000),
            )
            self._send(prepared, some, verdicts, queue=queue, deadline_ms=max(1, left_ms))
            said |= {n: each for n, each in zip(lost, verdicts, strict=True) if each is not None}
        return [said[number] for number in sorted(said)]

    def _send(
        self,
        prepared: Prepared,
        envelopes: Sequence[Envelope],
        verdicts: list[Verdict | None],
        *,
        queue: Declaration | None,
        deadline_ms: int | None,
    ) -> None:
        alias, name = self._store.alias, None if queue is None else queue.name
        self._refuse_blocked(name)

        def steps(wire: Wire) -> Steps[None]:
            exchange = yield from prepared(wire)
            channel = yield from wire.confirming()
            try:
                yield channel.publish(exchange, envelopes, verdicts)
            except RabbitMQRefused:
                wire.known.clear()
                raise
            if Verdict.UNROUTABLE in verdicts:
                # Somebody has deleted it: whoever publishes next makes it anew.
                wire.known.clear()

        try:
            self._store.run(steps, role=Role.PUBLISH, deadline_ms=deadline_ms)
        except RabbitMQRefused as error:
            unable = StoreUnavailable if error.status == ACCESS_REFUSED else OutcomeUnknown
            raise unable(
                f"RabbitMQ store {alias!r}: {error}", name=name, store=alias, reason=error.reason
            ) from error

    def _refuse_blocked(self, name: str | None) -> None:
        if self._store.blocked():
            raise StoreUnavailable(
                f"RabbitMQ store {self._store.alias!r} takes no messages for now: it is short of "
                "memory or disk.",
                name=name,
                store=self._store.alias,
                reason="blocked",
            )

    def _remember(
        self,
        op: str,
        before: set[str],
        rest: Sequence[Envelope],
        verdicts: Sequence[Verdict | None],
    ) -> int:
        """Which were confirmed; how many that is."""
        confirmed = before | {
            each.id
            for each, verdict in zip(rest, verdicts, strict=True)
            if verdict is Verdict.CONFIRMED
        }
        if confirmed:
            self._halves[op] = confirmed
            while len(self._halves) > HALVES_MAX:
                self._halves.popitem(last=False)
        return len(confirmed)

    def _partly(self, queue: Declaration, confirmed: int, count: int) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"Queue {queue.name!r} took {confirmed} of {count} messages; publish again with the "
            "same op id for the others.",
            name=queue.name,
            store=self._store.alias,
            reason="some were refused",
        )

    def _refusal(
        self, queue: Declaration, said: Counter[Verdict] | Counter[Verdict | None]
    ) -> QueueFull | Unroutable:
        name, alias = queue.name, self._store.alias
        if said[Verdict.UNROUTABLE]:
            return Unroutable(
                f"Queue {name!r} on {alias!r} is not on the server any more: somebody has deleted "
                "it, or its binding. Nothing was published.",
                name=name,
                store=alias,
            )
        return QueueFull(
            f"Queue {name!r} on {alias!r} takes no more messages, by the server's policy; nothing "
            "was published.",
            name=name,
            store=alias,
        )
