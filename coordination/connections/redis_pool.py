"""Sockets to one Redis: opened by redis-py, used raw, never shared by two processes.

A connection inherited over a fork hands one process the replies of another, so the pool belongs
to a pid and is emptied in every forked child before any other code of it runs.
"""

import contextlib
import os
import select
import ssl
import time
import weakref
from collections import deque
from typing import Any, Protocol
from urllib.parse import urlsplit

import hiredis
from redis.connection import AbstractConnection, Connection, SSLConnection, parse_url
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from coordination.connections.redis_errors import RedisReplyError

IDLE_MAX = 32
LATE_MAX, LATE_S = 8, 10.0
"""Exchanges that nobody waits for: so many, and for so long, before their wires are given up."""
_READ_BYTES = 65_536
_PENDING = object()
# Options of redis-py's pools and clients that a shared URL may carry; they do not concern a socket.
_FOREIGN_OPTIONS = ("max_connections", "timeout", "retry_on_error", "health_check_interval")


class WireLost(Exception):
    """The socket cannot be used: refused, cut, or silent until the deadline."""


class Wire:
    """One connection with at most one exchange under way."""

    def __init__(self, connection: AbstractConnection) -> None:
        sock = connection._get_socket()  # redis-py has no public name for the connected socket
        if sock is None:
            raise WireLost("not connected")
        # Whoever waits polls: Python's own deadlines take three more calls of the system each way.
        sock.setblocking(False)
        self._connection = connection
        self._socket = sock
        self._encrypted = isinstance(sock, ssl.SSLSocket)
        self._reader = hiredis.Reader(
            protocolError=WireLost, replyError=RedisReplyError, notEnoughData=_PENDING
        )
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._unsent = b""

    def usable(self) -> bool:
        """Tell whether the idle connection is open and clean: a silent one has no event."""
        return not self._poll.poll(0)

    def send(self, data: bytes, until: float) -> None:
        """Write packed commands; WireLost when not all of it left before ``until``."""
        try:
            _left(until)
            sent = 0
            while sent < len(data):
                sent += self._write(data[sent:] if sent else data, until)
        except OSError as error:
            raise WireLost(_reason(error, "writing")) from error

    def read(self, until: float) -> Any:
        """Return one reply, error replies as values; WireLost when it is not whole in time."""
        reply = self._reader.gets()
        while reply is _PENDING:
            self._receive(until)
            reply = self._reader.gets()
        return reply

    def next(self, until: float) -> Any:
        """Return a message that the server sends by itself, or None when none came in time.

        Raises WireLost when the connection is cut.
        """
        reply = self._reader.gets()
        while reply is _PENDING:
            left_s = until - time.monotonic()
            if not self._poll.poll(max(0.0, left_s) * 1000):
                return None
            self._receive(until + 1)  # it is there; that the time is up just now is no matter
            reply = self._reader.gets()
        return reply

    def begin(self, data: bytes) -> None:
        """Write what fits of packed commands; `advance` writes the rest."""
        self._unsent = data
        self._write_now()

    def advance(self, replies: list[Any], number: int) -> bool:
        """Put those of `number` replies that have come behind the others; True once all have.

        Never waits. Raises WireLost.
        """
        if self._unsent:
            self._write_now()
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            raise WireLost(_reason(error, "reading")) from error
        if not data:
            raise WireLost("the server closed the connection")
        self._reader.feed(data)
        while len(replies) < number:
            reply = self._reader.gets()
            if reply is _PENDING:
                return False
            replies.append(reply)
        return True

    @property
    def is_unsent(self) -> bool:
        """Whether something waits for room to be written."""
        return bool(self._unsent)

    @property
    def is_encrypted(self) -> bool:
        """Whether it speaks TLS, of which the socket alone does not tell what has come."""
        return self._encrypted

    def fileno(self) -> int:
        """The socket's."""
        return self._socket.fileno()

    def _write_now(self) -> None:
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError as error:
            raise WireLost(_reason(error, "writing")) from error

    def _write(self, data: bytes, until: float) -> int:
        """Write what fits, and wait for room where nothing does; returns how much it was."""
        try:
            return self._socket.send(data)
        except ssl.SSLWantReadError:
            _await(self._poll, until)
        except (BlockingIOError, ssl.SSLWantWriteError):
            _await(self._writable(), until)
        return 0

    def _arrived(self, until: float) -> bytes:
        # What is decrypted already is seen by no poll, so there it is read first.
        if not self._encrypted:
            _await(self._poll, until)
        while True:
            try:
                return self._socket.recv(_READ_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                _await(self._poll, until)
            except ssl.SSLWantWriteError:
                _await(self._writable(), until)

    def _writable(self) -> select.poll:
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        return poll

    def _receive(self, until: float) -> None:
        try:
            data = self._arrived(until)
        except OSError as error:
            raise WireLost(_reason(error, "reading")) from error
        if not data:
            raise WireLost("the server closed the connection")
        self._reader.feed(data)

    def close(self) -> None:
        """Close the socket; harmless when closed already."""
        self._connection.disconnect()  # type: ignore[no-untyped-call]


class Late(Protocol):
    """An exchange that nobody waits for."""

    at: float
    """When it was sent, monotonic seconds."""

    def advance(self) -> bool:
        """Take what has come; True once it is over."""

    def drop(self) -> None:
        """End the connection."""


class Pool:
    """The idle wires of this process, last used first so that the rest can go cold."""

    def __init__(self, location: str, *, connect_ms: int) -> None:
        """Read the URL; nothing is opened.

        Raises:
            ValueError: redis-py does not understand the URL or an option in it.
        """
        self.address = address_of(location)
        self._connect_ms = connect_ms
        options: dict[str, Any] = parse_url(location)  # type: ignore[no-untyped-call]
        for name in _FOREIGN_OPTIONS:
            options.pop(name, None)
        self._class: type[AbstractConnection] = options.pop("connection_class", Connection)
        self._greeting = _greeting(options, encrypted=issubclass(self._class, SSLConnection))
        self._options = options
        try:
            self._connection(patience_s=1)
        except TypeError as error:
            raise ValueError(f"The URL has an option unknown to redis-py: {error}") from None
        self._pid = os.getpid()
        self._idle: deque[Wire] = deque()
        self._late: deque[Late] = deque()
        # A pool that nobody holds any more closes its sockets instead of leaving them to chance.
        weakref.finalize(self, _close_all, self._idle, self._late).atexit = False
        _pools.add(self)

    def take(self, until: float) -> Wire:
        """Return a usable wire, opened now if none is idle.

        Raises:
            WireLost: the server could not be reached before ``until``.
            RedisReplyError: it refused the login or the database.
        """
        return self.take_idle() or self._open(until)

    def take_idle(self) -> Wire | None:
        """Return a usable wire if one is idle."""
        if self._pid != os.getpid():
            self.forget()
        if self._late:
            self._collect()
        while True:
            try:
                wire = self._idle.pop()
            except IndexError:
                return None
            if wire.usable():
                return wire
            wire.close()

    def let_finish(self, late: "Late") -> None:
        """Keep the wire of an exchange that nobody waits for until its replies have come."""
        self._late.append(late)

    def _collect(self) -> None:
        """See which of the late have come, each giving its wire back; drop the oldest of many."""
        for _ in range(len(self._late)):
            try:
                late = self._late.popleft()
            except IndexError:
                return
            if late.advance():
                continue
            if len(self._late) >= LATE_MAX or late.at < time.monotonic() - LATE_S:
                late.drop()
            else:
                self._late.append(late)

    def give_back(self, wire: Wire) -> None:
        """Keep a wire whose last reply was read for the next exchange."""
        if len(self._idle) < IDLE_MAX:
            self._idle.append(wire)
        else:
            wire.close()

    def drop(self) -> None:
        """Close the idle wires, and those whose replies nobody waits for."""
        _close_all(self._idle, self._late)

    def forget(self) -> None:
        """In a forked child: let go of the parent's sockets without a word to the server."""
        self._pid = os.getpid()
        # redis-py compares pids: here it closes the descriptor and sends no shutdown.
        self.drop()

    def _open(self, until: float) -> Wire:
        try:
            connection = self._connection(patience_s=min(_left(until), self._connect_ms / 1000))
            connection.connect()  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:
            raise WireLost(_reason(error, "connecting")) from error
        wire = Wire(connection)
        try:
            wire.send(b"".join(self._greeting), until)
            for _ in self._greeting:
                reply = wire.read(until)
                if isinstance(reply, RedisReplyError):
                    raise reply
        except BaseException:
            wire.close()
            raise
        return wire

    def _connection(self, *, patience_s: float) -> AbstractConnection:
        return self._class(
            **{
                **self._options,
                "socket_timeout": patience_s,
                "socket_connect_timeout": patience_s,
                "retry": None,
                "retry_on_timeout": False,
                # We greet the server ourselves: redis-py gives each step of it the whole deadline.
                "redis_connect_func": _say_nothing,
            }
        )


def _close(idle: deque[Wire]) -> None:
    while True:
        try:
            idle.pop().close()
        except IndexError:
            return


def _close_all(idle: deque[Wire], late: "deque[Late]") -> None:
    _close(idle)
    while late:
        with contextlib.suppress(IndexError):
            late.popleft().drop()


def _greeting(options: dict[str, Any], *, encrypted: bool) -> list[bytes]:
    commands: list[Any] = []
    if options.get("password"):
        user = (options["username"],) if options.get("username") else ()
        commands.append(("AUTH", *user, options["password"]))
    if options.get("db"):
        commands.append(("SELECT", options["db"]))
    if encrypted and not commands:
        # The reply draws out TLS's session tickets, which would make the wire look unclean.
        commands.append(("PING",))
    return [hiredis.pack_command(command) for command in commands]


def _say_nothing(_: object) -> None:
    return None


def _await(poll: select.poll, until: float) -> None:
    if not poll.poll(_left(until) * 1000):
        raise TimeoutError


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _reason(error: Exception, doing: str) -> str:
    if isinstance(error, TimeoutError | RedisTimeoutError):
        return f"no answer in time while {doing}"
    return f"{str(error).rstrip('.')} while {doing}"


def address_of(location: str) -> str:
    """Return the URL without user, password and query, fit for messages."""
    parts = urlsplit(location)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def identity_of(location: str) -> tuple[str, int]:
    """Return what two URLs of one Redis database have in common: its server and its number."""
    options: dict[str, Any] = parse_url(location)  # type: ignore[no-untyped-call]
    if "path" in options:
        return options["path"], int(options.get("db", 0))
    host = options.get("host", "localhost")
    host = "127.0.0.1" if host in {"localhost", "::1"} else host.lower()
    return f"{host}:{options.get('port', 6379)}", int(options.get("db", 0))


_pools: "weakref.WeakSet[Pool]" = weakref.WeakSet()


def _forget_all() -> None:
    for pool in list(_pools):
        pool.forget()


os.register_at_fork(after_in_child=_forget_all)
