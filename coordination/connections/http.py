"""HTTP/1.1 requests that end in time: POST, one answer, nothing followed, connections kept.

The deadline is for the whole exchange. Clients such as urllib3 and httpx bound each read of the
socket instead, so a server that sends a byte now and then holds their caller for as long as it
likes. Here every wait gets what is left, but for the look-up of a host's name, which the system
bounds; `http.client` only parses.
"""

import io
import os
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPException, HTTPResponse
from select import POLLIN, poll
from typing import cast
from urllib.parse import SplitResult, urlsplit

ANSWER_BYTES_MAX = 64 * 1024
IDLE_MAX = 8
"""Connections kept to one server."""
IDLE_S = 30.0
"""Servers close idle connections after a while, many after a minute."""


class Unanswered(Exception):
    """There is no whole answer: the request may or may not have been taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes


class _Stale(Exception):
    """A kept connection ended before the first byte of an answer."""


_CLOSED = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""What a server that closed a connection looks like, before its first byte."""

Origin = tuple[str, str, int, str | None]
"""Scheme, host, port, file of certificates."""


class _Wire:
    """One connection and when it was last used."""

    def __init__(self, origin: Origin, until: float) -> None:
        self.origin = origin
        self.socket = _connected(origin, until)
        self.used_at = time.monotonic()

    def usable(self) -> bool:
        """Whether the idle connection is open and clean: a silent one has no event."""
        if time.monotonic() - self.used_at > IDLE_S:
            return False
        waiting = poll()
        waiting.register(self.socket, POLLIN)
        return not waiting.poll(0)

    def close(self) -> None:
        with suppress(OSError):
            self.socket.close()


class _Timed(io.RawIOBase):
    """The bytes of a socket, each wait within what is left until the deadline."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._socket, self._until = sock, until
        self.begun = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._socket.settimeout(_left(self._until))
        size = self._socket.recv_into(buffer)
        self.begun = self.begun or size > 0
        return size

    def makefile(self, *_mode: str) -> io.BufferedReader:
        """What `http.client` asks a socket for."""
        return io.BufferedReader(self)


class _Pool:
    """Idle connections of this process by server."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._idle: dict[Origin, deque[_Wire]] = {}

    def take(self, origin: Origin) -> _Wire | None:
        while True:
            with self._mutex:
                idle = self._idle.get(origin)
                if not idle:
                    return None
                wire = idle.pop()
            if wire.usable():
                return wire
            wire.close()

    def put(self, wire: _Wire) -> None:
        wire.used_at = time.monotonic()
        with self._mutex:
            idle = self._idle.setdefault(wire.origin, deque())
            idle.append(wire)
            oldest = idle.popleft() if len(idle) > IDLE_MAX else None
        if oldest is not None:
            oldest.close()

    def empty(self) -> None:
        with self._mutex:
            wires = [wire for idle in self._idle.values() for wire in idle]
            self._idle.clear()
        for wire in wires:
            wire.close()

    def forget_parents(self) -> None:
        """In a forked child: the parent goes on using its connections, so they are only let go."""
        # Another thread of the parent may have held the mutex at the fork.
        self._mutex = threading.Lock()
        self.empty()


_pool = _Pool()
os.register_at_fork(after_in_child=_pool.forget_parents)


def post(
    url: str, body: bytes, headers: Mapping[str, str], *, until: float, ca: str | None = None
) -> Answer:
    """Send `body` and return the answer.

    A request on a kept connection that turns out to be closed is sent once more on a new one, so
    what it asks for has to bear being asked twice.

    Args:
        until: by the monotonic clock; nothing of this lasts longer.
        ca: file with the certificates that may sign the server's own; None: the system's.

    Raises Unanswered: no connection, none within the deadline, or no HTTP, or too large an answer.
    """
    parts = urlsplit(url)
    request = _request(parts, body, headers)
    try:
        kept = _pool.take(_origin(parts, ca))
        if kept is not None:
            with suppress(_Stale):
                return _exchange(kept, request, until, kept=True)
        return _exchange(_Wire(_origin(parts, ca), until), request, until, kept=False)
    except TimeoutError as error:
        raise Unanswered(f"{_shown(parts)} did not answer in time") from error
    except (OSError, HTTPException, ValueError) as error:
        raise Unanswered(f"{_shown(parts)}: {type(error).__name__}: {error}") from error


def target_of(url: str) -> str:
    """Path and query as the request line holds them."""
    parts = urlsplit(url)
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path


def close_idle() -> None:
    """Close the connections that are kept."""
    _pool.empty()


def _request(parts: SplitResult, body: bytes, headers: Mapping[str, str]) -> bytes:
    lines = [
        f"POST {target_of(parts.geturl())} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Accept-Encoding: identity",
        "User-Agent: concord",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header must be one line.")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def _exchange(wire: _Wire, request: bytes, until: float, *, kept: bool) -> Answer:
    stream = _Timed(wire.socket, until)
    try:
        # Python bounds a whole `sendall` by the timeout, not each of its writes.
        wire.socket.settimeout(_left(until))
        wire.socket.sendall(request)
        response = HTTPResponse(cast("socket.socket", stream), method="POST")
        response.begin()
        answer = Answer(
            status=response.status,
            headers={name.lower(): value for name, value in response.getheaders()},
            body=_read(response),
        )
    except BaseException as error:
        wire.close()
        if kept and not stream.begun and isinstance(error, _CLOSED):
            raise _Stale from error
        raise
    if response.will_close:
        wire.close()
    else:
        _pool.put(wire)
    return answer


def _read(response: HTTPResponse) -> bytes:
    """The body, and no more than it may have."""
    body = response.read(ANSWER_BYTES_MAX + 1)
    if len(body) > ANSWER_BYTES_MAX:
        raise ValueError(f"its answer has more than {ANSWER_BYTES_MAX} bytes")
    if response.length:
        raise ValueError("its answer is cut off")
    return body


def _connected(origin: Origin, until: float) -> socket.socket:
    scheme, host, port, ca = origin
    sock = _reached(host, port, until)
    if scheme == "http":
        return sock
    try:
        sock.settimeout(_left(until))
        return _context(ca).wrap_socket(sock, server_hostname=host)
    except BaseException:
        sock.close()
        raise


def _reached(host: str, port: int, until: float) -> socket.socket:
    """A connection to the first of its addresses that takes one, all within the deadline."""
    failed: OSError | None = None
    for family, kind, protocol, _name, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(_left(until))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            failed = error
        else:
            return sock
    raise failed or OSError(f"{host} has no address")


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("the deadline has passed")
    return left


@lru_cache(maxsize=32)
def _context(ca: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca)


def _origin(parts: SplitResult, ca: str | None) -> Origin:
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, parts.hostname or "", port, ca


def _shown(parts: SplitResult) -> str:
    """Without the query, which may hold a secret."""
    return f"{parts.scheme}://{parts.netloc}{parts.path}"
