"""Waking the waiters of this process: one listener a store hears for all of them.

A wake-up may be lost, so whoever waits also looks again by himself, and a listener that lost its
connection wakes everybody.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

EARLY_MAX = 256


class Bell:
    """Of one waiter: a thread, or a task of a running event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Wake a thread, or a task of `loop`."""
        self._rung = threading.Event()
        self._loop = loop
        self._rung_in_loop = asyncio.Event()

    def ring(self) -> None:
        """Wake it, from any thread. A bell that rings before anybody waits is heard too."""
        self._rung.set()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._rung_in_loop.set)

    def wait(self, seconds: float) -> bool:
        """Whether it rang within `seconds`, in a thread."""
        rang = self._rung.wait(seconds)
        self._rung.clear()
        return rang

    async def heard(self, seconds: float) -> bool:
        """Whether it rang within `seconds`, in a task of its loop."""
        try:
            async with asyncio.timeout(seconds):
                await self._rung_in_loop.wait()
        except TimeoutError:
            return False
        finally:
            self._rung_in_loop.clear()
        return True


class Bells:
    """All who wait in this process for one store, by the id of their request."""

    def __init__(self) -> None:
        self._bells: dict[str, Bell] = {}
        self._early: deque[str] = deque(maxlen=EARLY_MAX)
        """Who was rung before his bell hung there: the call that queues him has to return first."""

    def __len__(self) -> int:
        return len(self._bells)

    @contextmanager
    def hung(self, id_: str) -> Iterator[Bell]:
        """The bell of one request during the block."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        bell = self._bells[id_] = Bell(loop)
        if id_ in self._early:
            bell.ring()
        try:
            yield bell
        finally:
            self._bells.pop(id_, None)

    def listens(self, id_: str) -> bool:
        """Whether the one who asked with this id would hear a bell."""
        return id_ in self._bells

    def ring(self, id_: str) -> None:
        """Wake the one who asked with this id, if he is here."""
        if (bell := self._bells.get(id_)) is not None:
            bell.ring()
            return
        self._early.append(id_)
        # It may have been hung between the two.
        if (bell := self._bells.get(id_)) is not None:
            bell.ring()

    def ring_all(self) -> None:
        """Wake everybody: a wake-up may have been lost."""
        for bell in list(self._bells.values()):
            bell.ring()
