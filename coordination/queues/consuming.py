"""A loop over messages: taken by the batch, handed out one by one, the rest given back."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from coordination.exceptions import CoordinationError
from coordination.queues import operation_ids, settling
from coordination.queues.delivery import Delivery
from coordination.queues.types import Settlement, Verb
from coordination.queues.waiting import take
from coordination.threads import refuse_in_event_loop

if TYPE_CHECKING:
    from coordination.queues.api import Queue

logger = logging.getLogger(__name__)


def consume(queue: Queue, *, count: int, wait_s: float | None) -> Iterator[Delivery]:
    """Messages until none came for `wait_s` (None: for ever). Errors of the store end it."""
    refuse_in_event_loop("consume()", "areserve()")
    store, declared, waiting = queue.store, queue.declared, deque[Delivery]()
    try:
        while True:
            op = operation_ids.new()
            found = take(store, declared, op=op, count=count, wait_s=wait_s)
            if not found.taken:
                return
            until = found.trusted_until
            waiting.extend(Delivery(queue, each, trusted_until=until) for each in found.taken)
            # Those whose lease ends before their turn may be somebody else's by then.
            while waiting and time.monotonic() < until:
                yield waiting.popleft()
            # Nobody began them, so that no attempt is to be counted if they are not.
            release(queue, waiting)
            waiting.clear()
    finally:
        release(queue, waiting)


def release(queue: Queue, deliveries: deque[Delivery]) -> None:
    """Give back what nobody has begun; if that fails, it comes back when its lease ends."""
    settlements = [Settlement(each.receipt, Verb.RELEASE) for each in deliveries]
    if not settlements:
        return
    try:
        settling.stale_of(queue.store, queue.declared, settlements)
    except CoordinationError as error:
        logger.warning("%s: %s messages come back later: %s", queue, len(settlements), error)
