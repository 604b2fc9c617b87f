"""The feed of one web process: one reader, one memory, any number of sockets.

Cost follows the events and the distinct filters on screen, not the viewers. The hub lives while a
socket is open: the first starts it, the last stops it. A gap in the stream is filled from the event
log; another epoch, a gap too large, or a lost Redis make every socket start again from the records.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import structlog

from coordination.exceptions import CoordinationError
from dashboard.clock import now_ms
from dashboard.events import EventRow, FeedItem
from dashboard.feed import stream
from dashboard.feed.asking import ask
from dashboard.feed.board import Board
from dashboard.feed.shelf import Shelf
from dashboard.limits import (
    BOARD_S,
    CATCH_UP_EVENTS,
    FEED_LINES,
    IDLE_BOARD_S,
    RECORDS_POLL_S,
    RING_EVENTS,
    SESSION_CHECK_S,
)
from dashboard.queries import history
from dashboard.sessions import refusals

if TYPE_CHECKING:
    from dashboard.feed.subscriber import Subscriber

logger = structlog.get_logger(__name__)

WATCHED = frozenset({"overview", "transactions", "locks", "counters", "queues", "waits"})
"""Topics with figures that are read on the timer."""


class Hub:
    """Everything the sockets of one event loop share."""

    def __init__(self) -> None:
        self.seq = 0
        self.epoch = ""
        self.lag_ms: int | None = None
        self.blind = False
        """Neither stream nor records answer: pages must say that they are stale."""
        self.ring: deque[EventRow] = deque(maxlen=RING_EVENTS)
        self.board = Board()
        self.shelf = Shelf()
        self.subscribers: set[Subscriber] = set()
        self._stream = stream.Stream()
        self._tasks: list[asyncio.Task[None]] = []
        self._looked_at = asyncio.Event()
        self._ready = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether it has read the records once."""
        return self._ready.is_set()

    # --- Sockets come and go ---------------------------------------------------------------------

    def start(self) -> None:
        """Begin to read."""
        loops: dict[str, Callable[[], Awaitable[None]]] = {
            "feed-reader": self._read,
            "feed-board": self._keep_board,
            "feed-clock": self._keep_time,
            "feed-sessions": self._check_sessions,
        }
        self._tasks = [
            asyncio.create_task(_for_ever(name, run), name=name) for name, run in loops.items()
        ]

    async def stop(self) -> None:
        """End the tasks and close the connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stream.aclose()

    async def opened(self) -> Shelf:
        """What is shown, once the records were read."""
        await self._ready.wait()
        return self.shelf

    def look(self) -> None:
        """Somebody opened a topic: read its figures now, not at the next turn of the clock."""
        self._looked_at.set()

    # --- Reading ---------------------------------------------------------------------------------

    async def _read(self) -> None:
        """Follow the stream; while it is lost, follow the event log instead."""
        if not self._ready.is_set():
            await self._resync("")
        while True:
            try:
                if not self._stream.exists:
                    await self._follow_records()
                    continue
                items = await self._stream.read(self.seq)
            except CoordinationError as error:
                logger.warning("feed_stream_lost", reason=str(error))
                await self._follow_records()
                continue
            self._see(blind=False)
            if items:
                await self._take(items)
            else:
                await self._follow_records(wait=False)

    async def _follow_records(self, *, wait: bool = True) -> None:
        """One look at the event log; also finds what an idle stream will never say."""
        try:
            where = await stream.position()
        except Exception:
            self._see(blind=True)
            raise
        self._see(blind=False)
        if where.epoch != self.epoch or where.seq < self.seq:
            await self._resync("epoch")
        elif where.seq > self.seq:
            await self._catch_up()
        if wait:
            await asyncio.sleep(RECORDS_POLL_S)

    async def _take(self, items: Sequence[FeedItem]) -> None:
        fresh = [item for item in items if item.event.seq > self.seq]
        if any(item.epoch != self.epoch for item in fresh):
            await self._resync("epoch")
            return
        if fresh and fresh[0].event.seq > self.seq + 1:
            await self._catch_up()
            fresh = [item for item in fresh if item.event.seq > self.seq]
        self._apply(fresh)

    async def _catch_up(self) -> None:
        items = await stream.from_records(self.seq, epoch=self.epoch)
        begin = items[0].event.seq if items else self.seq + 1
        if begin != self.seq + 1 or len(items) == CATCH_UP_EVENTS:
            await self._resync("gap")
        else:
            self._apply(items)

    def _apply(self, items: Iterable[FeedItem]) -> None:
        now = now_ms()
        for item in items:
            self.seq = item.event.seq
            self.lag_ms = max(0, now - item.event.at_ms)
            self.ring.append(item.event.brief())
            self.shelf.take(item, now)
        self._wake()

    async def _resync(self, reason: str) -> None:
        """Start again from the records; sockets get `resync` and then whole topics."""
        where = await stream.position()
        self.seq, self.epoch = where.seq, where.epoch
        latest = await ask(history.latest, FEED_LINES)
        self.ring.clear()
        self.ring.extend(event.brief() for event in latest)
        await self.shelf.reload()
        for subscriber in self.subscribers:
            subscriber.start_over(reason)
        self._ready.set()
        self._wake()

    def _see(self, *, blind: bool) -> None:
        if self.blind != blind:
            self.blind = blind
            self._wake()

    def _wake(self) -> None:
        for subscriber in self.subscribers:
            subscriber.dirty.set()

    # --- Timers ----------------------------------------------------------------------------------

    async def _keep_board(self) -> None:
        while True:
            topics = {name for each in self.subscribers for name in each.topics}
            await self.board.refresh(topics)
            self._wake()
            watched = topics & WATCHED
            try:
                async with asyncio.timeout(BOARD_S if watched else IDLE_BOARD_S):
                    await self._looked_at.wait()
            except TimeoutError:
                continue
            self._looked_at.clear()

    async def _keep_time(self) -> None:
        await self._ready.wait()
        while True:
            if await self.shelf.tick(now_ms()):
                self._wake()
            await asyncio.sleep(1)

    async def _check_sessions(self) -> None:
        while True:
            keys = {each.session_key for each in self.subscribers}
            refused = await ask(refusals, keys) if keys else {}
            for subscriber in tuple(self.subscribers):
                if subscriber.session_key in refused:
                    subscriber.close_with(refused[subscriber.session_key])
            await asyncio.sleep(SESSION_CHECK_S)


async def _for_ever(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """A loop of the hub survives whatever fails below it: a database away is not its end."""
    while True:
        try:
            await run()
        except Exception as error:  # noqa: BLE001 - the edge of a background task; it records
            logger.warning("feed_loop_failed", loop=name, error=repr(error))
            await asyncio.sleep(1)


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def join(subscriber: Subscriber) -> Hub:
    """Enter the hub of the running loop, starting it for the first."""
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None:
        hub = _hubs[loop] = Hub()
        hub.start()
    hub.subscribers.add(subscriber)
    return hub


async def leave(hub: Hub, subscriber: Subscriber) -> None:
    """Leave it, stopping it as the last."""
    hub.subscribers.discard(subscriber)
    if not hub.subscribers:
        loop = asyncio.get_running_loop()
        if _hubs.get(loop) is hub:
            del _hubs[loop]
        await hub.stop()
