"""Redrives and purges in RabbitMQ: so many messages as were ready when it began, from the first on.

Each is held while it is dealt with, and goes back when that fails.
"""

from __future__ import annotations

from collections.abc import Sequence

from coordination.connections.rabbitmq import (
    Arrived,
    Channel,
    RabbitMQRefused,
    RabbitMQStore,
    Role,
    Steps,
    Verdict,
    Wire,
)
from coordination.exceptions import StoreUnavailable
from coordination.queues.stores import rabbitmq_messages as messages
from coordination.queues.stores import rabbitmq_topology as topology
from coordination.queues.stores.rabbitmq_ledger import Ledger
from coordination.queues.stores.rabbitmq_publishing import Publisher
from coordination.queues.types import Declaration, Swept


class Sweeper:
    """The steps of both."""

    def __init__(self, store: RabbitMQStore, publisher: Publisher, ledger: Ledger) -> None:
        self._store = store
        self._publisher = publisher
        self._ledger = ledger

    def purge(
        self,
        queue: Declaration,
        *,
        op: str,
        limit: int,
        cursor: str | None,
        deadline_ms: int | None,
    ) -> Swept:
        """Throw away up to `limit`."""
        channel, found, left = self._hold(queue, limit, cursor, deadline_ms)
        # What the server does not hear of comes again, and is dropped.
        self._ledger.end(queue.name, [each.id for each in found if each.id], op=op)
        self._let_go(channel, found)
        return _swept(len(found), found, left)

    def move(
        self,
        source: Declaration,
        to: Declaration,
        *,
        limit: int,
        cursor: str | None,
        died_in: str | None,
        deadline_ms: int | None,
    ) -> Swept:
        """Look through up to `limit`; those that are not to be moved go to the end.

        Raises QueueFull, Unroutable: nothing was moved.
        """
        channel, found, left = self._hold(source, limit, cursor, deadline_ms)
        mine = [
            each for each in found if died_in in (None, messages.source(each.headers)) and each.id
        ]
        others = [each for each in found if each not in mine]
        try:
            if mine:
                # Also of where they were: should they come there again, nobody has begun them.
                for each_queue in (to.name, source.name):
                    self._ledger.forget(each_queue, [each.id for each in mine])
                revived = [messages.revived(each, each.id, to=to.name) for each in mine]
                said = self._publisher.send(to, revived, deadline_ms=deadline_ms)
                if any(each is not Verdict.CONFIRMED for each in said):
                    raise self._publisher.refusal(to, said)
            if others:
                back = [messages.copied(each, each.id, to=source.name) for each in others]
                said = self._publisher.send(source, back, deadline_ms=deadline_ms)
                if any(each is not Verdict.CONFIRMED for each in said):
                    raise self._publisher.refusal(source, said)
        except BaseException:
            self._give_back(channel, found)
            raise
        self._let_go(channel, found)
        return _swept(len(mine), found, left)

    def _hold(
        self, queue: Declaration, limit: int, cursor: str | None, deadline_ms: int | None
    ) -> tuple[Channel, list[Arrived], int]:
        """A channel, what it holds now, and how many are left to look at."""
        name = topology.queue_name(queue.name)

        def steps(wire: Wire) -> Steps[tuple[Channel, list[Arrived], int]]:
            yield from topology.declare(wire, queue, store=self._store.alias)
            channel = yield from wire.holding()
            if cursor is None:
                _, left, _ = yield channel.look(name)
            else:
                left = int(cursor)
            found: list[Arrived] = []
            for answer in [channel.get(name) for _ in range(min(limit, left))]:
                message = yield answer
                if message is not None:
                    found.append(message)
            return channel, found, left

        anew = topology.again_if_gone(steps)
        try:
            return self._store.run(anew, role=Role.CONSUME, changes=False, deadline_ms=deadline_ms)
        except RabbitMQRefused as error:
            raise StoreUnavailable(
                f"Queue {queue.name!r}: {error}", name=queue.name, store=self._store.alias
            ) from error

    def _let_go(self, channel: Channel, found: Sequence[Arrived]) -> None:
        """The server forgets them."""

        def send() -> None:
            for each in found:
                channel.ack(each.tag)

        self._store.tell(Role.CONSUME, send)

    def _give_back(self, channel: Channel, found: Sequence[Arrived]) -> None:
        def send() -> None:
            for each in found:
                channel.give_back(each.tag)

        self._store.tell(Role.CONSUME, send)


def _swept(done: int, found: Sequence[Arrived], left: int) -> Swept:
    left -= len(found)
    return Swept(done, str(left) if found and left > 0 else None)
