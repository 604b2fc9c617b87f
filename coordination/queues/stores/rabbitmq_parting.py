"""Where a message in hand goes that is not done: to another attempt, or to the dead letters.

It is published anew, and the server may forget the one in hand when that is confirmed. The ledger
has its fate before, so whatever fails here is made good when the message comes again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from coordination.connections.rabbitmq import Verdict
from coordination.exceptions import CoordinationError
from coordination.failpoints import hit
from coordination.queues import declaring
from coordination.queues.stores import rabbitmq_messages as messages
from coordination.queues.stores import rabbitmq_topology as topology
from coordination.queues.stores.rabbitmq_inbox import Held, Inbox
from coordination.queues.stores.rabbitmq_ledger import Ledger, copy_after, mark_of
from coordination.queues.stores.rabbitmq_publishing import Publisher
from coordination.queues.types import Declaration, Settlement

logger = logging.getLogger(__name__)

BURY_AGAIN_S = 5.0
"""After this a message is tried again that its dead letter queue did not take."""
AGAIN_S = 1.0
"""After this a message is tried again that could not be put off."""


class Parting:
    """For all threads of the process."""

    def __init__(self, publisher: Publisher, ledger: Ledger) -> None:
        self._publisher = publisher
        self._ledger = ledger

    def try_to_bury(
        self,
        queue: Declaration,
        inbox: Inbox,
        held: Held,
        error: str,
        *,
        op: str,
        deadline_ms: int | None,
    ) -> bool:
        """As `bury`; if that cannot be, it is buried when it comes again."""
        try:
            self.bury(queue, inbox, held, error, op=op, deadline_ms=deadline_ms)
        except CoordinationError as failure:
            logger.warning("message %s is buried when it comes again: %s", held.id, failure)
            return False
        return True

    def delay(
        self,
        queue: Declaration,
        inbox: Inbox,
        held: Held,
        settlement: Settlement,
        *,
        deadline_ms: int | None,
    ) -> None:
        """Publish it for later; if that cannot be, it comes again, and this is tried again."""
        mark = mark_of(settlement)
        copy = copy_after(mark.attempt, mark.taker)
        self.put_off(queue, inbox, held, copy=copy, delay_ms=mark.delay_ms, deadline_ms=deadline_ms)

    def put_off(
        self,
        queue: Declaration,
        inbox: Inbox,
        held: Held,
        *,
        copy: str,
        delay_ms: int,
        deadline_ms: int | None,
    ) -> None:
        """As `delay`, by the name of the copy that is to come."""
        later = messages.copied(held.message, held.id, to=queue.name, copy=copy)
        hit("rabbitmq.delay.before")
        try:
            self._publisher.delay(later, topology.rung_ms(delay_ms), deadline_ms=deadline_ms)
        except CoordinationError as error:
            logger.warning("message %s is put off when it comes again: %s", held.id, error)
            # Not at once: a server that is short of memory would be asked without a pause.
            inbox.hold(f"later.{copy}", held, time.monotonic() + AGAIN_S)
            inbox.watch()
        else:
            hit("rabbitmq.delay.after")
            inbox.ack([held])

    def bury(
        self,
        queue: Declaration,
        inbox: Inbox,
        held: Held,
        error: str,
        *,
        op: str,
        deadline_ms: int | None,
    ) -> None:
        """Make a dead letter of it. If that queue takes no more it stays in hand, and comes again.

        Raises StoreUnavailable, OutcomeUnknown: it comes again, and the ledger knows that it is
        dead.
        """
        letter = messages.letter(held.message, held.id, queue, error)
        try:
            (verdict,) = self._publisher.send(queue, [letter], deadline_ms=deadline_ms)
            if verdict is Verdict.CONFIRMED:
                self._ledger.end(queue.name, [held.id], op=op)
        except BaseException:
            inbox.give_back([held])
            raise
        if verdict is Verdict.CONFIRMED:
            inbox.ack([held])
            return
        # The server would keep it as well, and try again after three minutes and without the error.
        logger.warning("%s: %s", held.id, self._publisher.refusal(letters_of(queue), [verdict]))
        inbox.hold(f"dead.{op}.{held.id}", held, time.monotonic() + BURY_AGAIN_S)
        inbox.watch()

    def renew(
        self, queue: Declaration, inbox: Inbox, worn: Sequence[Held], *, deadline_ms: int | None
    ) -> None:
        """Publish anew what was delivered so often that the server would soon end it.

        Raises StoreUnavailable, OutcomeUnknown: it comes again, at most so often.
        """
        copies = [messages.copied(each.message, each.id, to=queue.name) for each in worn]
        try:
            said = self._publisher.send(queue, copies, deadline_ms=deadline_ms)
        except BaseException:
            inbox.give_back(worn)
            raise
        taken = [each is Verdict.CONFIRMED for each in said]
        inbox.ack(each for each, confirmed in zip(worn, taken, strict=True) if confirmed)
        inbox.give_back(each for each, confirmed in zip(worn, taken, strict=True) if not confirmed)


def letters_of(queue: Declaration) -> Declaration:
    """The queue of its dead letters, as far as counting them needs."""
    assert queue.dead_letter is not None
    kept = {"visibility_ms": queue.visibility_ms, "max_attempts": queue.max_attempts}
    return declaring.first(queue.dead_letter, {"dead_letter": None}, defaults=kept)
