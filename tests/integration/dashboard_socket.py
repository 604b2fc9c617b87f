"""A client of the feed that talks plain WebSocket."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.integration.dashboard_web import Web

Frame = dict[str, Any]
WAIT_S = 10


class Tab:
    """One open socket; keeps every frame it has received."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.frames: list[Frame] = []

    def say(self, **frame: Any) -> None:
        self.connection.send(json.dumps(frame))

    def next(self, *kinds: str, topic: str | None = None, within_s: float = WAIT_S) -> Frame:
        """The next frame of one of these kinds; other frames are passed over."""
        until = time.monotonic() + within_s
        while True:
            frame: Frame = json.loads(self.connection.recv(max(0.01, until - time.monotonic())))
            self.frames.append(frame)
            if frame["t"] in kinds and topic in (None, frame.get("topic")):
                return frame

    def closed(self, *, within_s: float = WAIT_S) -> int:
        """Read until the server closes; the close code."""
        until = time.monotonic() + within_s
        try:
            while True:
                self.connection.recv(max(0.01, until - time.monotonic()))
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd is not None else 1006


@contextmanager
def tab(web: Web, session: str = "", *, path: str = "/ws/feed", origin: str = "") -> Iterator[Tab]:
    """Open a socket as a browser with this session would."""
    with connect(
        f"ws://127.0.0.1:{web.port}{path}",
        origin=origin or web.origin,  # type: ignore[arg-type]
        additional_headers={"Cookie": f"sessionid={session}"} if session else {},
        max_size=None,
    ) as connection:
        yield Tab(connection)
