"""Locks from asyncio: calls run in threads, and all tasks wait on their process's one listener.

A store's call is short and has a deadline; the wait between two calls may be long, and holds no
thread.
"""

import logging
import math
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from coordination.locks.store import LockStore
from coordination.locks.taken import Taken
from coordination.locks.types import Held, Request, Waiting
from coordination.locks.waiting import LOOK_LATER_S, LOOK_S, STAY_MS, ask, deadlock, give_up
from coordination.locks.watch import process_watch
from coordination.threads import Threads

logger = logging.getLogger(__name__)

T = TypeVar("T")

_threads = Threads("locks", of_each=32)


async def in_thread(call: Callable[[], T], *, store: LockStore) -> T:
    """`call()` in a thread; raises as `Threads.run`."""
    return await _threads.run(call, store=store)


async def take(store: LockStore, request: Request, *, wait_s: float | None) -> Taken | None:
    """As `waiting.take`; a task that is cancelled leaves no grant behind."""
    until = math.inf if wait_s is None else time.monotonic() + wait_s
    try:
        sent_at = time.monotonic()
        stay_ms = STAY_MS if wait_s != 0 else 0
        answer = await _ask(store, request, stay_ms=stay_ms)
        if isinstance(answer, Held):
            return Taken(answer, sent_at)
        if answer.place is None:
            return None
        return await _wait(store, request, answer, until=until)
    except BaseException as error:
        # Also while the call is still under way: a copy of it that comes later is not granted.
        _threads.submit(partial(give_up, store, request, error), store=store)
        raise


async def _wait(
    store: LockStore, request: Request, answer: Waiting, *, until: float
) -> Taken | None:
    with store.bell(request) as bell, process_watch.over(request, bell) as watched:
        while time.monotonic() < until:
            ends_s = answer.look_again_ms / 1000 + LOOK_LATER_S
            await bell.heard(max(0.0, min(until - time.monotonic(), ends_s, LOOK_S)))
            sent_at = time.monotonic()
            asked = await _ask(store, request, stay_ms=STAY_MS)
            if isinstance(asked, Held):
                return Taken(asked, sent_at)
            if watched.deadlocked is not None:
                raise deadlock(watched.deadlocked, request)
            answer = asked
    await in_thread(lambda: give_up(store, request), store=store)
    return None


async def _ask(store: LockStore, request: Request, *, stay_ms: int) -> Held | Waiting:
    return await in_thread(lambda: ask(store, request, stay_ms=stay_ms), store=store)
