"""Threads in which the async twins run whole calls."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=16, thread_name_prefix="concord-transaction")


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """Run a whole call in one thread, since Django's connections belong to threads."""
    return await asyncio.get_running_loop().run_in_executor(_threads(), lambda: function(*args))
