"""Counters from asyncio: each call runs in a thread, within the deadline of its store."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from asgiref.sync import sync_to_async

from coordination.exceptions import OutcomeUnknown, StoreUnavailable

THREADS = 16
GRACE_S = 0.25
"""How much longer than its deadline a call may take to tell of it."""

T = TypeVar("T")


class Dated(Protocol):
    """A store whose calls end in time."""

    alias: str
    deadline_ms: int


async def in_thread(call: Callable[[], T], *, store: Dated) -> T:
    """`call()` in a thread.

    Of a store that has Django's own connections it is the thread in which the ORM's a-verbs run.

    Raises StoreUnavailable when no thread became free in time, OutcomeUnknown when the call did not
    end, and whatever it raises.
    """
    if getattr(store, "using", None) is not None:
        return await sync_to_async(call, thread_sensitive=True)()
    running = _threads(store.alias).submit(call)
    try:
        async with asyncio.timeout(store.deadline_ms / 1000 + GRACE_S):
            return await asyncio.wrap_future(running)
    except TimeoutError as error:
        if running.cancelled():
            raise StoreUnavailable(
                f"Store {store.alias!r}: {THREADS} calls are under way, and none ended in time.",
                store=store.alias,
            ) from error
        if running.done():
            raise  # its own
        raise OutcomeUnknown(
            f"Store {store.alias!r} did not answer in time.", store=store.alias
        ) from error


_executors: dict[str, ThreadPoolExecutor] = {}
"""By the alias of a store: one that is frozen holds up nobody but its own."""


def _threads(alias: str) -> ThreadPoolExecutor:
    if alias not in _executors:
        made = ThreadPoolExecutor(THREADS, thread_name_prefix=f"concord-counters-{alias}")
        return _executors.setdefault(alias, made)
    return _executors[alias]


os.register_at_fork(after_in_child=_executors.clear)
