"""Queues from asyncio: calls run in threads; a wait between two calls holds none."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

from coordination.queues.store import QueueStore
from coordination.queues.types import Declaration
from coordination.queues.waiting import LOOK_S, Batch, ask
from coordination.threads import Threads

T = TypeVar("T")

_threads = Threads("queues", of_each=32)


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
    """`call()` in a thread; raises as `Threads.run`."""
    # Two calls at most: the first one also asks what the queue is.
    return await _threads.run(call, store=store, calls=2)
