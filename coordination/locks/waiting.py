"""Waiting for a lock: in the store's queue, woken when it is handed over, looking again besides.

A wake-up may be lost and a holder may die without a word, so a waiter asks again when the present
lease ends, and often enough to keep its place.
"""

import logging
import math
import time

from coordination.exceptions import CoordinationError, OutcomeUnknown
from coordination.locks.repeating import repeated
from coordination.locks.store import LockStore
from coordination.locks.types import Answer, Held, Over, Request, Waiting

logger = logging.getLogger(__name__)

LOOK_S = 2.0
"""How often a waiter looks without being woken."""
STAY_MS = 8_000
"""How long the store keeps its place meanwhile: one that does not ask again is dead."""
GIVE_UP_MS = 250
"""How long leaving the queue may take; a place nobody keeps runs out by itself."""
LOOK_LATER_S = 0.01
"""How long after the end of a lease it is asked for, so that it has ended by then."""


def take(store: LockStore, request: Request, *, wait_s: float | None) -> tuple[Held, float] | None:
    """Have the lock, with the monotonic time before the request for it was sent; None: busy.

    `wait_s` None waits for ever, 0 not at all. Raises StoreUnavailable or OutcomeUnknown.
    """
    until = math.inf if wait_s is None else time.monotonic() + wait_s
    sent_at = time.monotonic()
    try:
        answer = ask(store, request, stay_ms=STAY_MS if wait_s != 0 else 0)
        if isinstance(answer, Held):
            return answer, sent_at
        if isinstance(answer, Waiting) and answer.place is None:
            return None
        return _wait(store, request, until=until)
    except BaseException:
        # Whatever ends this early, nobody is there to have what is granted after it.
        give_up(store, request)
        raise


def ask(store: LockStore, request: Request, *, stay_ms: int) -> Answer:
    """`store.acquire`, once more when its reply was lost: the id gets the first answer again."""
    answer = repeated(
        lambda deadline_ms: store.acquire(request, stay_ms=stay_ms, deadline_ms=deadline_ms),
        deadline_ms=store.deadline_ms,
    )
    if isinstance(answer, Over):
        raise OutcomeUnknown(
            f"lock {request.name!r}: this call had it for a while, and its answer came too late.",
            name=request.name,
            store=store.alias,
        )
    return answer


def give_up(store: LockStore, request: Request) -> None:
    """Leave the queue, and give back what was handed over meanwhile; errors are logged."""
    try:
        store.release(request, deadline_ms=GIVE_UP_MS)
    except CoordinationError as error:
        logger.warning("lock %r: the place in its queue runs out: %s", request.name, error)


def _wait(store: LockStore, request: Request, *, until: float) -> tuple[Held, float] | None:
    with store.wakeups(request) as wakeups:
        while True:
            sent_at = time.monotonic()
            if sent_at >= until:
                break
            # Also the first time: it may have been handed over before anybody listened.
            answer = ask(store, request, stay_ms=STAY_MS)
            if isinstance(answer, Held):
                return answer, sent_at
            assert isinstance(answer, Waiting)
            ends_s = answer.look_again_ms / 1000 + LOOK_LATER_S
            wakeups.wait(max(0.0, min(until - time.monotonic(), ends_s, LOOK_S)))
    give_up(store, request)
    return None
