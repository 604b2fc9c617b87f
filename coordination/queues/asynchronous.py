"""Queues from asyncio: calls run in threads; a wait between two calls holds none."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from coordination.exceptions import InvalidArgument, OutcomeUnknown, StoreUnavailable
from coordination.queues.store import QueueStore
from coordination.queues.types import Declaration
from coordination.queues.waiting import LOOK_S, Batch, ask

THREADS = 32
GRACE_S = 0.25
"""How much longer than its deadline a call may take to tell of it."""

T = TypeVar("T")


def refuse_in_event_loop(verb: str, instead: str, *, waits: bool = True) -> None:
    """Raise InvalidArgument in a running event loop, which a call that waits would stop."""
    if waits and asyncio._get_running_loop() is not None:
        raise InvalidArgument(f"{verb} would stop the running event loop: use {instead} there.")


async def take(
    store: QueueStore, declared: Declaration, *, op: str, count: int, wait_s: float | None
) -> Batch:
    """As `waiting.take`. A task that is cancelled meanwhile may leave messages taken."""

    async def once(*, stay: bool) -> tuple[Batch, float]:
        return await in_thread(
            lambda: ask(store, declared, op=op, count=count, stay=stay), store=store
        )

    batch, look_again_s = await once(stay=wait_s != 0)
    if batch.taken or wait_s == 0:
        return batch
    until = math.inf if wait_s is None else time.monotonic() + wait_s
    with store.bell(declared, op) as bell:
        while not batch.taken and (left_s := until - time.monotonic()) > 0:
            await bell.heard(min(left_s, look_again_s, LOOK_S))
            batch, look_again_s = await once(stay=time.monotonic() < until)
    return batch


async def in_thread(call: Callable[[], T], *, store: QueueStore) -> T:
    """`call()` in a thread of Concord's own, within the deadline of the store.

    Raises StoreUnavailable when no thread became free in time, OutcomeUnknown when the call did not
    end.
    """
    running = _threads(store).submit(call)
    try:
        # Two calls at most: the first one also asks what the queue is.
        async with asyncio.timeout(2 * store.deadline_ms / 1000 + GRACE_S):
            return await asyncio.wrap_future(running)
    except TimeoutError as error:
        if not running.done() or running.cancelled():
            raise _late(store, begun=not running.cancelled()) from error
        raise


def _late(store: QueueStore, *, begun: bool) -> OutcomeUnknown | StoreUnavailable:
    if begun:
        return OutcomeUnknown(f"Store {store.alias!r} did not answer in time.", store=store.alias)
    return StoreUnavailable(
        f"Store {store.alias!r}: {THREADS} calls are under way, and none ended in time.",
        store=store.alias,
    )


_executors: dict[str, ThreadPoolExecutor] = {}
"""By the alias of a store: one that is frozen holds up nobody but its own."""


def _threads(store: QueueStore) -> ThreadPoolExecutor:
    if store.alias not in _executors:
        made = ThreadPoolExecutor(THREADS, thread_name_prefix=f"concord-queues-{store.alias}")
        return _executors.setdefault(store.alias, made)
    return _executors[store.alias]


os.register_at_fork(after_in_child=_executors.clear)
