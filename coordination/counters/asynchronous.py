"""Counters from asyncio: each call runs in a thread, within the deadline of its store."""

from collections.abc import Callable
from typing import TypeVar

from asgiref.sync import sync_to_async

from coordination.threads import Dated, Threads

T = TypeVar("T")

_threads = Threads("counters", of_each=16)


async def in_thread(call: Callable[[], T], *, store: Dated) -> T:
    """`call()` in a thread; raises as `Threads.run`.

    Of a store that has Django's own connections it is the thread in which the ORM's a-verbs run.
    """
    if getattr(store, "using", None) is not None:
        return await sync_to_async(call, thread_sensitive=True)()
    return await _threads.run(call, store=store)
