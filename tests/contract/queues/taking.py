"""Taking messages in tests, and letting the store's clock pass."""

import threading
import time
from collections.abc import Callable

from coordination.queues.api import Queue
from coordination.queues.delivery import Delivery

DEADLINE_S = 10.0


def one(q: Queue) -> Delivery:
    """The next message, waited for."""
    (message,) = q.reserve(wait=DEADLINE_S)
    return message


def drained(q: Queue) -> list[Delivery]:
    """All that can be taken now, acked."""
    found: list[Delivery] = []
    while taken := q.reserve(batch=100):
        q.ack(taken)
        found += taken
    return found


def until(true: Callable[[], bool]) -> None:
    """Look until it is true."""
    ends = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < ends, "it did not come true in time"
        threading.Event().wait(0.01)


def balanced(q: Queue) -> None:
    """Assert that every message that came is accounted for."""
    stats = q.stats()
    if (totals := stats.totals) is None:
        return
    came = totals.published + totals.moved_in + totals.redriven
    went = totals.acked + totals.dead + totals.expired + totals.purged + totals.moved_out
    assert came == went + stats.held, stats
