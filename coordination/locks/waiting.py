"""Waiting for a lock: in the store's queue, woken when it is handed over, looking again besides.

A wake-up may be lost and a holder may die without a word, so a waiter asks again when the present
lease ends, and often enough to keep its place.
"""

import logging
import math
import time
from collections.abc import Callable

from coordination.exceptions import CoordinationError, Deadlock, OutcomeUnknown
from coordination.locks.deadlocks import Deadlocked
from coordination.locks.repeating import repeated
from coordination.locks.store import LockStore
from coordination.locks.taken import Asked, Taken
from coordination.locks.types import Held, Over, Request, Waiting
from coordination.locks.watch import process_watch

logger = logging.getLogger(__name__)

LOOK_S = 1.2
"""How often a waiter looks without being woken: sooner than a lock handed to it goes on."""
STAY_MS = 8_000
"""How long the store keeps its place meanwhile: one that does not ask again is dead."""
GIVE_UP_MS = 250
"""How long leaving the queue may take; a place nobody keeps runs out by itself."""
LOOK_LATER_S = 0.01
"""How long after the end of a lease it is asked for, so that it has ended by then."""


def never() -> bool:
    """Who waits does so to the end."""
    return False


def take(
    store: LockStore,
    request: Request,
    *,
    wait_s: float | None,
    given_up: Callable[[], bool] = never,
    renewed: bool = False,
) -> Taken | None:
    """Have the lock; None: busy.

    `wait_s` None waits for ever, 0 not at all; `given_up` is looked at as often as the lock. Only
    who renews it (`renewed`) may have it before the store answered that it knows of this.
    Raises StoreUnavailable or OutcomeUnknown.
    """
    until = math.inf if wait_s is None else time.monotonic() + wait_s
    sent_at = time.monotonic()
    try:
        answer = ask(store, request, stay_ms=STAY_MS if wait_s != 0 else 0)
        if isinstance(answer, Held):
            return Taken(answer, sent_at)
        if answer.place is None:
            return None
        asked = Asked(answer, sent_at)
        return _wait(store, request, asked, until=until, given_up=given_up, renewed=renewed)
    except BaseException as error:
        # Whatever ends this early, nobody is there to have what is granted after it.
        give_up(store, request, error)
        raise


def ask(store: LockStore, request: Request, *, stay_ms: int) -> Held | Waiting:
    """`store.acquire`, once more when its reply was lost: the id gets the first answer again."""
    answer = repeated(
        lambda deadline_ms: store.acquire(request, stay_ms=stay_ms, deadline_ms=deadline_ms),
        deadline_ms=store.deadline_ms,
    )
    if isinstance(answer, Over):
        raise OutcomeUnknown(
            f"{request.resource}: this call had it for a while, and its answer came too late.",
            name=request.name,
            store=store.alias,
        )
    return answer


def give_up(store: LockStore, request: Request, why: BaseException | None = None) -> None:
    """Leave the queue, and give back what was handed over meanwhile; errors are logged."""
    said = {"deadlock": {"cycle": why.cycle}} if isinstance(why, Deadlock) else {}
    try:
        store.release(request, said=said, deadline_ms=GIVE_UP_MS)
    except CoordinationError as error:
        logger.warning("%s: the place in its queue runs out: %s", request.resource, error)


def deadlock(found: Deadlocked, request: Request) -> Deadlock:
    """What the victim raises."""
    return Deadlock(
        f"{request.resource} cannot be had: {found.told()}. The youngest gives way.",
        name=request.name,
        store=found.victim.store,
        cycle=found.as_json(),
    )


def _wait(
    store: LockStore,
    request: Request,
    asked: Asked,
    *,
    until: float,
    given_up: Callable[[], bool],
    renewed: bool,
) -> Taken | None:
    # What was handed over before it hung there rings it, too.
    with store.bell(request) as bell, process_watch.over(request, bell) as watched:
        while time.monotonic() < until and not given_up():
            ends_s = asked.answer.look_again_ms / 1000 + LOOK_LATER_S
            bell.wait(max(0.0, min(until - time.monotonic(), ends_s, LOOK_S)))
            if renewed and (taken := bell.claim(asked)) is not None:
                return taken
            sent_at = time.monotonic()
            answer = ask(store, request, stay_ms=STAY_MS)
            if isinstance(answer, Held):
                return Taken(answer, sent_at)
            if watched.deadlocked is not None:
                raise deadlock(watched.deadlocked, request)
            asked = Asked(answer, sent_at)
    give_up(store, request)
    return None
