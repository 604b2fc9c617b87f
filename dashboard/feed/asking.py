"""Blocking queries from the feed's loop, each in a thread of its own choosing.

Not Channels' one sensitive thread: a slow filter must not delay the check of sessions. The
connection is closed after each use, because these threads belong to nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import connections

_Parameters = ParamSpec("_Parameters")
_Answer = TypeVar("_Answer")


async def ask(
    query: Callable[_Parameters, _Answer], *args: _Parameters.args, **kwargs: _Parameters.kwargs
) -> _Answer:
    """Run `query` in a thread and return its answer."""

    def run() -> _Answer:
        try:
            return query(*args, **kwargs)
        finally:
            connections.close_all()

    return await asyncio.to_thread(run)
