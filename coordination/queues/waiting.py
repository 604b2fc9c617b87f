"""Taking messages: one call where there are some, and a wait without polling where there are none.

A wake-up may be lost, so whoever waits also looks again by himself.
"""

import math
import time
from contextlib import suppress
from typing import NamedTuple

from coordination.exceptions import CoordinationError
from coordination.locks.repeating import repeated
from coordination.queues.store import QueueStore
from coordination.queues.types import Declaration, Found, Taken

LOOK_S = 1.0
STAY_MS = 3_000
"""How long a store rings for who waits: longer than he takes to look again."""


class Batch(NamedTuple):
    """What was taken, and until when it may be relied on, by the monotonic clock."""

    taken: list[Taken]
    trusted_until: float


def take(
    store: QueueStore, declared: Declaration, *, op: str, count: int, wait_s: float | None
) -> Batch:
    """Take up to `count` messages, waiting for the first up to `wait_s`; None waits for ever.

    With the same `op`, messages whose reply was lost are found again. Raises StoreUnavailable or
    OutcomeUnknown.
    """
    batch, look_again_s = ask(store, declared, op=op, count=count, stay=wait_s != 0)
    if batch.taken or wait_s == 0:
        return batch
    until = math.inf if wait_s is None else time.monotonic() + wait_s
    with store.bell(declared, op) as bell:
        while not batch.taken and (left_s := until - time.monotonic()) > 0:
            bell.wait(min(left_s, look_again_s, LOOK_S))
            # The last look tells the store that nobody waits any more.
            stay = time.monotonic() < until
            batch, look_again_s = ask(store, declared, op=op, count=count, stay=stay)
    return batch


def leave(store: QueueStore, declared: Declaration, *, op: str) -> None:
    """Wait no longer; as far as this fails, the store finds out by itself, after STAY_MS."""
    with suppress(CoordinationError):
        store.leave(declared, op=op)


def ask(
    store: QueueStore, declared: Declaration, *, op: str, count: int, stay: bool
) -> tuple[Batch, float]:
    """Ask once; what was taken, and in how many seconds there may be more without a word."""

    def reserve(deadline_ms: int) -> Found:
        return store.reserve(
            declared,
            op=op,
            count=count,
            stay_ms=STAY_MS if stay else 0,
            kept_ms=declared.visibility_ms,
            deadline_ms=deadline_ms,
        )

    until = time.monotonic() + store.deadline_ms / 1000
    while True:
        # Of two calls the first may have been applied: its lease began then.
        trusted_until = time.monotonic() + declared.visibility_ms / 1000
        found = repeated(reserve, deadline_ms=store.deadline_ms)
        if found.taken or found.look_again_ms or time.monotonic() > until:
            return Batch(found.taken, trusted_until), found.look_again_ms / 1000
