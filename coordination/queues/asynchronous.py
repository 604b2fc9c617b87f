"""Queues from asyncio: calls run in threads; a wait between two calls holds none."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from coordination.exceptions import CoordinationError
from coordination.queues import settling
from coordination.queues.store import QueueStore
from coordination.queues.types import Declaration, Settlement, Verb
from coordination.queues.waiting import LOOK_S, Batch, ask, leave
from coordination.threads import Threads

T = TypeVar("T")

_threads = Threads("queues", of_each=32)


class _Asking:
    """The calls of one task, which may be cancelled while one of them runs in a thread."""

    def __init__(self, store: QueueStore, declared: Declaration, *, op: str, count: int) -> None:
        self._store, self._declared = store, declared
        self._op, self._count = op, count
        self._cancelled = threading.Event()
        self._unclaimed: list[Batch] = []

    async def once(self, *, stay: bool) -> tuple[Batch, float]:
        """Ask, in a thread."""
        found = await in_thread(partial(self._ask, stay=stay), store=self._store)
        self._unclaimed.clear()
        return found

    def _ask(self, *, stay: bool) -> tuple[Batch, float]:
        found = ask(self._store, self._declared, op=self._op, count=self._count, stay=stay)
        self._unclaimed.append(found[0])
        if self._cancelled.is_set():
            # After the task had gone it took messages, or told the store that somebody waits.
            self._give_up()
        return found

    def cancel(self) -> None:
        """Nobody waits any more, nor wants what was found meanwhile."""
        self._cancelled.set()
        _threads.submit(self._give_up, store=self._store)

    def _give_up(self) -> None:
        while self._unclaimed:
            with suppress(IndexError, CoordinationError):
                taken = self._unclaimed.pop().taken
                released = [Settlement(each.receipt, Verb.RELEASE) for each in taken]
                settling.stale_of(self._store, self._declared, released)
        leave(self._store, self._declared, op=self._op)


async def take(
    store: QueueStore, declared: Declaration, *, op: str, count: int, wait_s: float | None
) -> Batch:
    """As `waiting.take`. What a task that is cancelled has taken by then goes back, uncounted."""
    asking = _Asking(store, declared, op=op, count=count)
    try:
        batch, look_again_s = await asking.once(stay=wait_s != 0)
        if batch.taken or wait_s == 0:
            return batch
        until = math.inf if wait_s is None else time.monotonic() + wait_s
        with store.bell(declared, op) as bell:
            while not batch.taken and (left_s := until - time.monotonic()) > 0:
                await bell.heard(min(left_s, look_again_s, LOOK_S))
                batch, look_again_s = await asking.once(stay=time.monotonic() < until)
    except asyncio.CancelledError:
        asking.cancel()
        raise
    return batch


async def in_thread(call: Callable[[], T], *, store: QueueStore) -> T:
    """`call()` in a thread; raises as `Threads.run`."""
    # Two calls at most: the first one also asks what the queue is.
    return await _threads.run(call, store=store, calls=2)
