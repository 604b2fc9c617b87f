"""One socket: its topics, and the loop that tells its client what changed, no faster than it reads.

The first change after a pause goes out at once; then at most 20 frames a second on the topic in
focus, 10 otherwise. The loop waits for each send, so a slow client gets fewer and newer frames; one
that blocks for `SEND_S` is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, Final

import structlog

from dashboard.clock import now_ms
from dashboard.feed import hub as hubs
from dashboard.feed.hub import Hub
from dashboard.feed.topics import Frame, TooFarBehindError, Topic
from dashboard.limits import FLUSH_S, FOCUSED_FLUSH_S, HEARTBEAT_S, SEND_S

logger = structlog.get_logger(__name__)

CLOSE_SLOW: Final = 4408
CLOSE_FAILED: Final = 1011


class Subscriber:
    """The sending half of one socket."""

    def __init__(
        self,
        *,
        session_key: str,
        user_key: str,
        send: Callable[[Frame], Awaitable[Any]],
        close: Callable[[int], Awaitable[Any]],
    ) -> None:
        self.session_key = session_key
        self.user_key = user_key
        self.topics: dict[str, Topic] = {}
        self.focus = ""
        self.paused = False
        self.dirty = asyncio.Event()
        self._send = send
        self._close = close
        self._closing: int | None = None
        self._notice: list[Frame] = []
        self._told_blind = False
        self._task: asyncio.Task[None] | None = None
        self.hub: Hub = hubs.join(self)

    def start(self, hello: Frame) -> None:
        """Greet the client and begin to flush."""
        self._notice.append(hello)
        self._task = asyncio.create_task(self._flush_until_closed(), name="feed-flush")

    async def stop(self) -> None:
        """Let go of everything."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for topic in self.topics.values():
            topic.release(self.hub)
        self.topics.clear()
        await hubs.leave(self.hub, self)

    def add(self, topic: Topic) -> None:
        """Subscribe; a topic of the same name is replaced."""
        self.drop(topic.name)
        self.topics[topic.name] = topic
        self.focus = topic.name
        self.hub.look()
        self.dirty.set()

    def drop(self, name: str) -> None:
        """Unsubscribe; unknown names are ignored."""
        topic = self.topics.pop(name, None)
        if topic is not None:
            topic.release(self.hub)

    def start_over(self, reason: str) -> None:
        """Every topic will be told whole again, after a `resync`."""
        for topic in self.topics.values():
            topic.whole = True
        if reason:
            self.notify({"t": "resync", "reason": reason})

    def again(self, name: str) -> None:
        """The client lost its place in one topic."""
        topic = self.topics.get(name)
        if topic is not None:
            topic.whole = True
            self.dirty.set()

    def notify(self, frame: Frame) -> None:
        """Send a frame of its own before the next flush."""
        self._notice.append(frame)
        self.dirty.set()

    def pause(self, paused: bool) -> None:
        """A hidden tab wants heartbeats only."""
        self.paused = paused
        self.dirty.set()

    def close_with(self, code: int) -> None:
        """Close the socket at the next turn of the loop."""
        self._closing = code
        self.dirty.set()

    async def _flush_until_closed(self) -> None:
        try:
            await self._flush_for_ever()
        except (TooFarBehindError, TimeoutError):
            self._closing = CLOSE_SLOW
        except OSError:
            return
        except Exception as error:  # noqa: BLE001 - the edge of a background task; it records
            logger.warning("feed_socket_failed", error=repr(error))
            self._closing = CLOSE_FAILED
        await self._close(self._closing or CLOSE_FAILED)

    async def _flush_for_ever(self) -> None:
        beat_at = 0.0
        while self._closing is None:
            self.dirty.clear()
            if self.hub.ready and (monotonic() >= beat_at or self._told_blind != self.hub.blind):
                self._notice.append(self._heartbeat())
                beat_at = monotonic() + HEARTBEAT_S
            sent = await self._flush()
            if sent:
                await asyncio.sleep(FOCUSED_FLUSH_S if self.focus in sent else FLUSH_S)
            await self._until(beat_at)

    async def _until(self, beat_at: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, beat_at - monotonic()) or HEARTBEAT_S):
                await self.dirty.wait()
        except TimeoutError:
            return

    async def _flush(self) -> set[str]:
        """Send what is due; the topics that had something."""
        notices, self._notice = self._notice, []
        for notice in notices:
            await self._deliver(notice)
        if self.paused:
            return set()
        sent: set[str] = set()
        for topic in tuple(self.topics.values()):
            frame = topic.frame(self.hub)
            if frame is not None:
                await self._deliver(frame)
                sent.add(topic.name)
        return sent

    async def _deliver(self, frame: Frame) -> None:
        async with asyncio.timeout(SEND_S):
            await self._send(frame)

    def _heartbeat(self) -> Frame:
        hub = self.hub
        self._told_blind = hub.blind
        return {
            "t": "hb",
            "seq": hub.seq,
            "server_time": now_ms(),
            "lag_ms": hub.lag_ms,
            "blind": hub.blind,
            "rail": hub.board.rail,
        }
