"""One connection to RabbitMQ that never holds its thread: bytes in, bytes out, heartbeats.

py-amqp opens it (address, TLS, handshake) and makes methods of frames. After the handshake its
socket is read and written here, since py-amqp's own reading and writing wait for a server that is
frozen, and take a system call for each part of a frame.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import time
from struct import unpack_from
from typing import Any

import amqp
from amqp.method_framing import frame_writer

from coordination.connections.rabbitmq_address import Address
from coordination.connections.rabbitmq_answers import Steps
from coordination.connections.rabbitmq_channel import Channel
from coordination.connections.rabbitmq_errors import RabbitMQLost

HEARTBEAT_S = 20
REFUSED_S = 5.0
_READ_BYTES = 262_144
_FRAME_END = 0xCE
_FAULTS = (OSError, amqp.AMQPError, ssl.SSLError, UnicodeError)


class Wire:
    """Lives in one thread."""

    def __init__(self, address: Address, *, connect_s: float) -> None:
        """Connect. Raises RabbitMQLost."""
        self.blocked = False
        """Whether the server has put off its publishers: it is short of memory or disk."""
        self._channels: dict[int, Channel] = {}
        self._confirming: Channel | None = None
        self._holding: Channel | None = None
        self.known: set[object] = set()
        """What is known to be declared, for whoever uses this connection."""
        self._outgoing, self._incoming = bytearray(), bytearray()
        # Its stub lacks what it inherits.
        connection_of: Any = amqp.Connection
        self._connection = connection_of(
            **address.options,
            login_method="PLAIN",
            connect_timeout=connect_s,
            heartbeat=HEARTBEAT_S,
            client_properties={"product": "Concord", "information": f"process {os.getpid()}"},
            on_blocked=lambda _reason: self._block(now=True),
            on_unblocked=lambda: self._block(now=False),
            # The default of one second ends connections to a server that is only busy.
            socket_settings={socket.TCP_USER_TIMEOUT: 10_000},
        )
        try:
            self._connection.connect()
        except _FAULTS as error:
            with contextlib.suppress(Exception):
                self._connection.collect()
            raise RabbitMQLost(f"cannot connect: {error}", reason=str(error)) from error
        self._socket: socket.socket = self._connection.sock
        self._socket.setblocking(False)
        self._connection.frame_writer = frame_writer(self._connection, self)

    @property
    def number(self) -> int:
        """Of its file."""
        return self._socket.fileno()

    @property
    def waits_to_write(self) -> bool:
        """Whether there is something to send."""
        return bool(self._outgoing)

    def channel(self) -> Steps[Channel]:
        """A new channel."""
        number = next(each for each in range(1, 2048) if each not in self._channels)
        channel = Channel(self, number)
        self._channels[number] = self._connection.channels[number] = channel
        yield channel.open_it()
        return channel

    def confirming(self) -> Steps[Channel]:
        """The channel whose publications are confirmed.

        One that was refused is given up after a while: the server's channel (3.10) refuses for ever
        when the limit of the queue was taken away meanwhile. A new one is refused from its second
        publication on, so a full queue grows by one message in that time.
        """
        present = self._confirming
        refused_at = None if present is None else present.refused_at
        if present and refused_at and time.monotonic() > refused_at + REFUSED_S:
            present.retire()
            present = None
        if present is None or not present.open:
            present = yield from self.channel()
            yield present.confirm()
            self._confirming = present
        return present

    def holding(self) -> Steps[Channel]:
        """A channel for messages that are looked through. It is not closed when that is done.

        The server's channel sends acks on to a quorum queue a few at a time: those that it has not
        sent are lost with it.
        """
        if self._holding is None or not self._holding.open:
            self._holding = yield from self.channel()
        return self._holding

    def forget(self, channel: Channel) -> None:
        """The channel's number is free again."""
        self._channels.pop(channel.number, None)
        if self._connection.channels:
            self._connection.channels.pop(channel.number, None)

    def write(
        self,
        data: Any,
        method: tuple[int, int] | None = None,
        args: bytes = b"",
        content: Any = None,
    ) -> None:
        """Put a method of the channel with that number, or bytes, behind what is to be sent."""
        if method is None:
            # As py-amqp's writer of frames calls its transport.
            self._outgoing += data
        else:
            self._connection.frame_writer(1, data, method, args, content)

    def flush(self) -> None:
        """Send what the socket takes. Raises RabbitMQLost."""
        try:
            while self._outgoing:
                sent = self._socket.send(memoryview(self._outgoing)[:_READ_BYTES])
                del self._outgoing[:sent]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except _FAULTS as error:
            raise _lost(error) from error

    def receive(self) -> None:
        """Take what has come, and act on it. Raises RabbitMQLost."""
        try:
            while data := self._socket.recv(_READ_BYTES):
                self._incoming += data
                self._read()
                if len(data) < _READ_BYTES and not isinstance(self._socket, ssl.SSLSocket):
                    return
            raise RabbitMQLost("the server closed the connection")
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except _FAULTS as error:
            raise _lost(error) from error

    def beat(self) -> None:
        """Send a heartbeat if it is time; raises RabbitMQLost when the server's are missing."""
        try:
            self._connection.heartbeat_tick()
        except _FAULTS as error:
            raise _lost(error) from error

    @property
    def received(self) -> int:
        """Frames so far: a server that is silent sends none."""
        return int(self._connection.bytes_recv)

    def close(self, error: Exception) -> None:
        """Let it go: whoever waits is told `error`."""
        for channel in list(self._channels.values()):
            channel.end(error)
        with contextlib.suppress(Exception):
            self._connection.collect()

    def abandon(self) -> None:
        """In a forked child: close the file alone, and tell the server nothing."""
        with contextlib.suppress(OSError, AttributeError):
            os.close(self._socket.detach())

    def _block(self, *, now: bool) -> None:
        self.blocked = now

    def _read(self) -> None:
        data, at = self._incoming, 0
        while len(data) - at >= 8:
            kind, channel, size = unpack_from(">BHI", data, at)
            end = at + 7 + size
            if len(data) <= end:
                break
            if data[end] != _FRAME_END:
                raise RabbitMQLost("what the server sent makes no sense")
            payload = bytes(data[at + 7 : end])
            at = end + 1
            # A channel that was closed here may still be sent to.
            if channel == 0 or channel in self._channels:
                self._connection.on_inbound_frame((kind, channel, payload))
        del data[:at]


def _lost(error: Exception) -> RabbitMQLost:
    return RabbitMQLost(f"the connection was lost: {error}", reason=str(error))
