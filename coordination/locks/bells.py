"""Waking the waiters of this process: one listener a store hears for all of them.

A wake-up may be lost, so whoever waits also looks again by himself, and a listener that lost its
connection wakes everybody.
"""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from coordination.locks.taken import Asked, Taken

EARLY_MAX = 256


class Bell:
    """Of one waiter: a thread, or a task of the event loop that runs now.

    For a thread it is a bare lock that whoever rings releases. A signal's handler that raises
    inside `threading.Event` can leave it locked, and whoever rings then would never return.
    """

    def __init__(self) -> None:
        self.told: bytes | None = None
        """What was said with the last ring, where a store says anything."""
        # Not `get_running_loop`, whose exception where there is none takes longer than all of this.
        self.loop: asyncio.AbstractEventLoop | None = asyncio._get_running_loop()
        self._silent = threading.Lock()
        self._silent.acquire()
        self._rung_in_loop = asyncio.Event()

    def ring(self, told: bytes | None = None) -> None:
        """Wake it, from any thread. A bell that rings before anybody waits is heard too."""
        if told is not None:
            self.told = told
        with suppress(RuntimeError):  # it rang already
            self._silent.release()
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._rung_in_loop.set)

    @property
    def rang(self) -> bool:
        """Whether it rang, and nobody heard it yet."""
        return not self._silent.locked()

    def wait(self, seconds: float) -> bool:
        """Whether it rang within `seconds`, in a thread."""
        return self._silent.acquire(timeout=max(0.0, seconds))

    def claim(self, asked: Asked) -> Taken | None:
        """What was handed over by the last ring; None when that has to be asked for."""
        return None

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
        self._early: OrderedDict[str, bytes | None] = OrderedDict()
        """Who was rung before his bell hung there: the call that queues him has to return first."""

    def __len__(self) -> int:
        return len(self._bells)

    @contextmanager
    def hung(self, id_: str, bell: Bell | None = None) -> Iterator[Bell]:
        """The bell of one request during the block."""
        bell = self._bells[id_] = bell or Bell()
        if id_ in self._early:
            bell.ring(self._early.pop(id_, None))
        try:
            yield bell
        finally:
            self._bells.pop(id_, None)

    def listens(self, id_: str) -> bool:
        """Whether the one who asked with this id would hear a bell."""
        return id_ in self._bells

    def hangs(self, id_: str, bell: Bell) -> bool:
        """Whether it is this bell that would ring for the one who asked with this id."""
        return self._bells.get(id_) is bell

    def ring(self, id_: str, told: bytes | None = None) -> None:
        """Wake the one who asked with this id, if he is here; `told` is how it was handed over."""
        if (bell := self._bells.get(id_)) is not None:
            bell.ring(told)
            return
        self._early[id_] = told
        # It may have been hung between the two.
        if (bell := self._bells.get(id_)) is not None:
            bell.ring(told)
        elif len(self._early) > EARLY_MAX:
            self._early.popitem(last=False)

    def ring_all(self) -> None:
        """Wake everybody: a wake-up may have been lost."""
        for bell in list(self._bells.values()):
            bell.ring()
