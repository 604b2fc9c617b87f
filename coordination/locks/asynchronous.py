"""Locks from asyncio: calls run in threads, and all tasks wait on their process's one listener.

A store's call is short and has a deadline; the wait between two calls may be long, and holds no
thread.
"""

import asyncio
import logging
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from coordination.exceptions import InvalidArgument, OutcomeUnknown, StoreUnavailable
from coordination.locks.store import LockStore
from coordination.locks.taken import Taken
from coordination.locks.types import Held, Request, Waiting
from coordination.locks.waiting import LOOK_LATER_S, LOOK_S, STAY_MS, ask, deadlock, give_up
from coordination.locks.watch import process_watch

logger = logging.getLogger(__name__)

THREADS = 32
GRACE_S = 0.25
"""How much longer than its deadline a call may take to tell of it."""

T = TypeVar("T")


def refuse_in_event_loop(verb: str, instead: str) -> None:
    """Raise InvalidArgument in a running event loop, which a call that waits would stop."""
    # Not `get_running_loop`, whose exception where there is none takes longer than all of this.
    if asyncio._get_running_loop() is not None:
        raise InvalidArgument(f"{verb} would stop the running event loop: use {instead} there.")


async def in_thread(call: Callable[[], T], *, store: LockStore) -> T:
    """`call()` in a thread of Concord's own, within the deadline of the store.

    Raises StoreUnavailable when no thread became free in time, OutcomeUnknown when the call did not
    end.
    """
    running = _threads(store).submit(call)
    try:
        async with asyncio.timeout(store.deadline_ms / 1000 + GRACE_S):
            return await asyncio.wrap_future(running)
    except TimeoutError as error:
        if not running.done() or running.cancelled():
            raise _late(store, begun=not running.cancelled()) from error
        raise


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
        _threads(store).submit(give_up, store, request, error)
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


def _late(store: LockStore, *, begun: bool) -> OutcomeUnknown | StoreUnavailable:
    if begun:
        return OutcomeUnknown(f"Store {store.alias!r} did not answer in time.", store=store.alias)
    return StoreUnavailable(
        f"Store {store.alias!r}: {THREADS} calls are under way, and none ended in time.",
        store=store.alias,
    )


_executors: dict[str, ThreadPoolExecutor] = {}
"""By the alias of a store: one that is frozen holds up nobody but its own."""


def _threads(store: LockStore) -> ThreadPoolExecutor:
    if store.alias not in _executors:
        made = ThreadPoolExecutor(THREADS, thread_name_prefix=f"concord-locks-{store.alias}")
        # Two tasks may come here at once only from two event loops.
        return _executors.setdefault(store.alias, made)
    return _executors[store.alias]


os.register_at_fork(after_in_child=_executors.clear)
