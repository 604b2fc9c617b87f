"""The socket's protocol: who may connect, what a client may say, what each mistake closes with.

Client frames: `{"t": "sub", "topic", "filter"?}`, `{"t": "unsub" | "focus" | "resync", "topic"}`,
`{"t": "pause" | "resume"}`. Topics: `overview`, `transactions`, `transaction:<gid>`, `locks`,
`lock:<store> <kind> <name>`, `counters`, `counter:<store> <name>`, `queues`,
`queue:<store> <name>`, `waits`.
"""

from __future__ import annotations

import json
import re
from collections import deque
from time import monotonic
from typing import Any, Final

from channels.generic.websocket import AsyncWebsocketConsumer

from dashboard.access import may_view, rights
from dashboard.clock import now_ms
from dashboard.feed.asking import ask
from dashboard.feed.counter_topic import CounterTopic
from dashboard.feed.lists import TooManyViewsError
from dashboard.feed.queue_topic import QueueTopic
from dashboard.feed.shelf import GRAMMARS
from dashboard.feed.subscriber import Subscriber
from dashboard.feed.topics import (
    Frame,
    ListTopic,
    LockTopic,
    OverviewTopic,
    Topic,
    TransactionTopic,
    WaitsTopic,
)
from dashboard.filtering import FilterError, parse
from dashboard.limits import (
    FRAME_BYTES,
    FRAMES_PER_SECOND,
    SOCKETS_PER_USER,
    TOPICS_PER_SOCKET,
)
from dashboard.queries.bounds import TooSlowError
from dashboard.sessions import Refusal

CLOSE_BINARY: Final = 1003
CLOSE_NOT_JSON: Final = 1007
CLOSE_BAD_FRAME: Final = 4400
CLOSE_NOWHERE: Final = 4404
CLOSE_TOO_MANY: Final = 4429
_TOPIC: Final = re.compile(
    r"^(?:overview|transactions|locks|counters|queues|waits|transaction:[a-z0-9-]{1,64}"
    r"|(?:counter|queue):\S{1,100} \S{1,200}|lock:\S{1,100} [a-z]{1,20} \S{1,200})$"
)


class BadFrameError(Exception):
    """The client said something that is not in the protocol; the socket closes with `code`."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _Consumer(AsyncWebsocketConsumer):
    """A socket without a channel layer: nothing here is sent through groups, and listening for it
    would cost every socket a Redis connection, and its life whenever Redis is slow."""

    channel_layer_alias = "no layer"
    ended = False

    async def end(self, code: int) -> None:
        """Close once; frames still on their way here are no reason to close again."""
        if not self.ended:
            self.ended = True
            await self.close(code)


class NowhereConsumer(_Consumer):
    """Closes sockets on addresses that do not exist."""

    async def connect(self) -> None:
        await self.accept()
        await self.end(CLOSE_NOWHERE)


class FeedConsumer(_Consumer):
    """One tab's socket, carrying all its topics."""

    subscriber: Subscriber | None = None

    async def connect(self) -> None:
        """Accept, then close again with a code the page understands if the user may not."""
        await self.accept()
        # A frame may arrive before the answer to "who are you"; it is then not heard.
        user, session = self.scope.get("user"), self.scope.get("session")
        if user is None or not user.is_authenticated or session is None:
            await self.end(Refusal.SIGNED_OUT)
            return
        perms = await ask(_permissions, user)
        if perms is None:
            await self.end(Refusal.FORBIDDEN)
            return
        self._heard: deque[float] = deque(maxlen=FRAMES_PER_SECOND)
        subscriber = Subscriber(
            session_key=session.session_key or "",
            user_key=str(user.pk),
            send=self._send_frame,
            close=self.end,
        )
        self.subscriber = subscriber
        if _sockets_of(subscriber) > SOCKETS_PER_USER:
            await self.end(CLOSE_TOO_MANY)
            return
        hub = subscriber.hub
        hello = {"t": "hello", "epoch": hub.epoch, "seq": hub.seq, "server_time": now_ms()}
        subscriber.start(hello | {"perms": perms})

    async def disconnect(self, code: int) -> None:
        """Let go of the topics."""
        subscriber, self.subscriber = self.subscriber, None
        if subscriber is not None:
            await subscriber.stop()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Do what one frame asks, or close with the code of its mistake."""
        if self.subscriber is None or self.ended:
            return
        try:
            self._count()
            await self._obey(_read(text_data), self.subscriber)
        except BadFrameError as bad:
            await self.end(bad.code)

    async def _send_frame(self, frame: Frame) -> None:
        await self.send(text_data=json.dumps(frame, separators=(",", ":")))

    def _count(self) -> None:
        now = monotonic()
        if len(self._heard) == FRAMES_PER_SECOND and now - self._heard[0] < 1:
            raise BadFrameError(CLOSE_TOO_MANY)
        self._heard.append(now)

    async def _obey(self, frame: dict[str, Any], subscriber: Subscriber) -> None:
        match frame.get("t"):
            case "sub":
                await self._subscribe(frame, subscriber)
            case "unsub":
                subscriber.drop(_topic(frame))
            case "focus":
                subscriber.focus = _topic(frame)
            case "resync":
                subscriber.again(_topic(frame))
            case "pause" | "resume":
                subscriber.pause(frame["t"] == "pause")
            case _:
                raise BadFrameError(CLOSE_BAD_FRAME)

    async def _subscribe(self, frame: dict[str, Any], subscriber: Subscriber) -> None:
        name = _topic(frame)
        if name not in subscriber.topics and len(subscriber.topics) >= TOPICS_PER_SOCKET:
            raise BadFrameError(CLOSE_BAD_FRAME)
        try:
            subscriber.add(await _open(name, frame, subscriber))
        except (FilterError, TooSlowError, TooManyViewsError) as error:
            subscriber.notify({"t": "err", "topic": name, "message": str(error)})


def _read(text: str | None) -> dict[str, Any]:
    if text is None:
        raise BadFrameError(CLOSE_BINARY)
    if len(text) > FRAME_BYTES or len(text.encode()) > FRAME_BYTES:
        raise BadFrameError(CLOSE_BAD_FRAME)
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        raise BadFrameError(CLOSE_NOT_JSON) from None
    if not isinstance(frame, dict):
        raise BadFrameError(CLOSE_BAD_FRAME)
    return frame


def _topic(frame: dict[str, Any]) -> str:
    name = frame.get("topic")
    if not isinstance(name, str) or not name.isprintable() or not _TOPIC.match(name):
        raise BadFrameError(CLOSE_BAD_FRAME)
    return name


async def _open(name: str, frame: dict[str, Any], subscriber: Subscriber) -> Topic:
    if name == "overview":
        return OverviewTopic()
    if name == "waits":
        return WaitsTopic()
    shelf = await subscriber.hub.opened()
    if name in GRAMMARS:
        text = frame.get("filter", "")
        if not isinstance(text, str):
            raise BadFrameError(CLOSE_BAD_FRAME)
        return ListTopic(name, await shelf.view(name, parse(text, GRAMMARS[name])))
    kind, _, which = name.partition(":")
    if kind == "lock":
        return LockTopic(await shelf.lock_story(which))
    if kind == "counter":
        return CounterTopic(await shelf.counter_story(which))
    if kind == "queue":
        return QueueTopic(await shelf.queue_story(which))
    return TransactionTopic(await shelf.story(which))


def _sockets_of(subscriber: Subscriber) -> int:
    return sum(each.user_key == subscriber.user_key for each in subscriber.hub.subscribers)


def _permissions(user: Any) -> dict[str, bool] | None:
    """What the page may offer; None for a user who may not look at all."""
    if not may_view(user):
        return None
    return rights(user)
