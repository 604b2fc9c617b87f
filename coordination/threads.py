"""Calls that wait for a server, from asyncio: in threads of Concord's own, within a deadline."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from coordination.exceptions import InvalidArgument, OutcomeUnknown, StoreUnavailable

GRACE_S = 0.25
"""How much longer than its deadline a call may take to tell of it."""

T = TypeVar("T")


class Dated(Protocol):
    """A store whose calls end in time."""

    alias: str
    deadline_ms: int


class Threads:
    """The threads of one primitive, by store: one that is frozen holds up nobody but its own."""

    def __init__(self, primitive: str, *, of_each: int) -> None:
        """None is started yet. `of_each`: how many calls of a store run at once."""
        self._primitive = primitive
        self._of_each = of_each
        self._executors: dict[str, ThreadPoolExecutor] = {}
        os.register_at_fork(after_in_child=self._executors.clear)

    async def run(self, call: Callable[[], T], *, store: Dated, calls: int = 1) -> T:
        """`call()` in a thread, within the deadline of the store, of which it makes so many calls.

        Raises StoreUnavailable when no thread became free in time, OutcomeUnknown when the call
        did not end, and whatever it raises.
        """
        running = self.submit(call, store=store)
        try:
            async with asyncio.timeout(calls * store.deadline_ms / 1000 + GRACE_S):
                return await asyncio.wrap_future(running)
        except TimeoutError as error:
            if running.cancelled():
                raise StoreUnavailable(
                    f"Store {store.alias!r}: {self._of_each} calls are under way, and none ended "
                    "in time.",
                    store=store.alias,
                ) from error
            if running.done():
                raise  # its own
            raise OutcomeUnknown(
                f"Store {store.alias!r} did not answer in time.", store=store.alias
            ) from error

    def submit(self, call: Callable[[], T], *, store: Dated) -> "Future[T]":
        """Let a thread run it; nobody has to wait."""
        alias = store.alias
        if alias not in self._executors:
            name = f"concord-{self._primitive}-{alias}"
            # Two tasks may come here at once only from two event loops.
            self._executors.setdefault(
                alias, ThreadPoolExecutor(self._of_each, thread_name_prefix=name)
            )
        return self._executors[alias].submit(call)


def refuse_in_event_loop(verb: str, instead: str) -> None:
    """Raise InvalidArgument in a running event loop, which a call that waits would stop."""
    # Not `get_running_loop`, whose exception where there is none takes longer than all of this.
    if asyncio._get_running_loop() is not None:
        raise InvalidArgument(f"{verb} would stop the running event loop: use {instead} there.")
