"""Exchanges with one RabbitMQ store, each within a deadline and never sent twice.

One thread a process and store owns the connections, their heartbeats and everything that is sent
and received; other threads hand it what they want and wait. What publishes has a connection of its
own: a server short of memory stops reading from those that publish, and the acks that would relieve
it must not be behind that.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import select
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeVar

from coordination.connections.rabbitmq_address import address_of
from coordination.connections.rabbitmq_answers import Answer, Call, Steps
from coordination.connections.rabbitmq_channel import Arrived, Channel, Envelope, Verdict
from coordination.connections.rabbitmq_errors import (
    ACCESS_REFUSED,
    NOT_FOUND,
    PRECONDITION_FAILED,
    RabbitMQLost,
    RabbitMQRefused,
)
from coordination.connections.rabbitmq_wire import Wire
from coordination.exceptions import InvalidArgument, OutcomeUnknown, StoreUnavailable

__all__ = [
    "ACCESS_REFUSED",
    "NOT_FOUND",
    "PRECONDITION_FAILED",
    "Answer",
    "Arrived",
    "Channel",
    "Envelope",
    "RabbitMQLost",
    "RabbitMQRefused",
    "RabbitMQStore",
    "Role",
    "Steps",
    "Verdict",
    "Wire",
]

logger = logging.getLogger(__name__)

CONNECT_MS = 1_000
DEADLINE_MS = 5_000
TICK_S = 1.0
END_S = 0.5
"""How long the end of the process may wait until what was handed over is sent."""

T = TypeVar("T")


class Role(Enum):
    """Which of the connections."""

    PUBLISH = "publish"
    CONSUME = "consume"


class RabbitMQStore:
    """One configured RabbitMQ, shared by all threads of the process and safe after a fork."""

    def __init__(
        self, alias: str, location: str, *, options: Mapping[str, object] | None = None
    ) -> None:
        """Describe the store; nothing is opened before the first exchange.

        Args:
            alias: the store's name in COORDINATION, for errors.
            location: an ``amqp://`` or ``amqps://`` URL; its path is the virtual host.
            options: ``connect_ms`` and ``deadline_ms``, the limits of a call that names none.
        """
        limits: Mapping[str, Any] = options or {}
        self.alias = alias
        self.deadline_ms: int = limits.get("deadline_ms", DEADLINE_MS)
        self._connect_s: float = limits.get("connect_ms", CONNECT_MS) / 1000
        try:
            self._address = address_of(location)
        except ValueError as error:
            raise InvalidArgument(f"RabbitMQ store {alias!r}: {error}.", store=alias) from None
        self._start_afresh()
        _stores.add(self)

    def _start_afresh(self) -> None:
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None
        self._bell: tuple[int, int] | None = None
        self._handed: deque[tuple[Role, Call[Any]]] = deque()
        self._wires: dict[Role, Wire] = {}
        self._timers: dict[object, tuple[float, Callable[[], None]]] = {}
        self._closing = False

    def run(
        self,
        steps: Callable[[Wire], Steps[T]],
        *,
        role: Role,
        changes: bool = True,
        deadline_ms: int | None = None,
    ) -> T:
        """Make an exchange in the thread of the connections; returns what it returns.

        Args:
            steps: makes it, of the connection; it must not wait for anything but replies.
            role: which connection.
            changes: whether it may have done something when its end is not heard of.
            deadline_ms: how long it may take; the store's by default.

        Raises:
            StoreUnavailable: it did not begin, or changes nothing; not applied.
            OutcomeUnknown: it began, and its end was not heard of in time.
            RabbitMQRefused: the server closed the channel; and whatever `steps` raises.
        """
        patience_s = (self.deadline_ms if deadline_ms is None else deadline_ms) / 1000
        call = Call(steps)
        wire = self._wires.get(role)
        received = -1 if wire is None else wire.received
        self._hand(role, call)
        try:
            error = call.future.exception(patience_s)
        except TimeoutError:
            if call.abandon():
                self._suspect(role, wire, received)
            raise self._lost("no answer came", begun=call.begun and changes) from None
        if isinstance(error, RabbitMQLost):
            raise self._lost(str(error), begun=call.begun and changes) from error
        if error is not None:
            raise error
        return call.future.result()

    def blocked(self) -> bool:
        """Whether the server has put off its publishers."""
        wire = self._wires.get(Role.PUBLISH)
        return wire is not None and wire.blocked

    def later(self, key: object, at: float, action: Callable[[], None]) -> None:
        """Call `action` in the thread of the connections at a monotonic time, once."""
        with self._mutex:
            self._timers[key] = (at, action)
            self._ring()

    def tell(self, role: Role, action: Callable[[], None]) -> None:
        """Have something sent, without waiting for it; not at all when there is no connection."""

        def steps(_wire: Wire) -> Steps[None]:
            action()
            yield from ()

        if role in self._wires:
            self._hand(role, Call(steps))

    def close(self) -> None:
        """Send what was handed over and close the connections; the store stays usable."""
        with self._mutex:
            thread, self._closing = self._thread, True
            self._ring()
        if thread is not None and thread is not threading.current_thread():
            thread.join(END_S)

    @property
    def address(self) -> str:
        """Where it is, without user and password."""
        return self._address.shown

    def __repr__(self) -> str:
        return f"<RabbitMQStore {self.alias} at {self.address}>"

    def _lost(self, reason: str, *, begun: bool) -> OutcomeUnknown | StoreUnavailable:
        where = f"RabbitMQ store {self.alias!r} at {self.address}"
        if begun:
            return OutcomeUnknown(
                f"{where}: the outcome is unknown: {reason}.", store=self.alias, reason=reason
            )
        return StoreUnavailable(f"{where}: {reason}.", store=self.alias, reason=reason)

    def _hand(self, role: Role, call: Call[Any]) -> None:
        with self._mutex:
            if self._thread is None:
                self._closing = False
                self._bell = os.pipe()
                for end in self._bell:
                    os.set_blocking(end, False)
                self._thread = threading.Thread(
                    target=self._work, name="concord-rabbitmq", daemon=True
                )
                self._thread.start()
            if not self._handed:
                self._ring()
            self._handed.append((role, call))

    def _ring(self) -> None:
        """Wake the thread; with the mutex, so that its pipe is not closed meanwhile."""
        if self._bell is not None:
            # A pipe that is full has rung already.
            with contextlib.suppress(BlockingIOError):
                os.write(self._bell[1], b"!")

    def _suspect(self, role: Role, wire: Wire | None, received: int) -> None:
        """Give up a connection that publishes and said nothing for a whole deadline.

        One that consumes is left to its heartbeats: with it the messages in hand would be lost.
        """
        if role is not Role.PUBLISH or wire is None or wire.received != received:
            return

        def cut(present: Wire) -> Steps[None]:
            if present is wire:
                self._drop(role, RabbitMQLost("the server was silent"))
            yield from ()

        self._hand(role, Call(cut))

    # In the thread of the connections.

    def _work(self) -> None:
        bell = self._bell
        assert bell is not None
        beat_at = 0.0
        while True:
            self._listen(bell[0])
            self._begin_handed()
            now = time.monotonic()
            for key, (at, action) in list(self._timers.items()):
                if at <= now:
                    del self._timers[key]
                    self._guarded(action)
            if now >= beat_at:
                beat_at = now + TICK_S
                self._each_wire(Wire.beat)
            self._each_wire(Wire.flush)
            with self._mutex:
                if self._closing and not self._handed:
                    self._thread = self._bell = None
                    break
        for role in list(self._wires):
            self._drop(role, RabbitMQLost("the store was closed"))
        for end in bell:
            os.close(end)

    def _listen(self, bell: int) -> None:
        """Wait for something to do, and take what has come."""
        poll = select.poll()
        poll.register(bell, select.POLLIN)
        for wire in self._wires.values():
            poll.register(wire.number, select.POLLIN | (wire.waits_to_write and select.POLLOUT))
        ends = [at for at, _ in list(self._timers.values())]
        until = min(ends, default=time.monotonic() + TICK_S)
        wait_s = max(0.0, min(TICK_S, until - time.monotonic()))
        ready = dict(poll.poll(wait_s * 1000))
        if bell in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(bell, 4096)
        readable = {number for number, what in ready.items() if what & ~select.POLLOUT}
        self._each_wire(lambda wire: wire.receive() if wire.number in readable else None)

    def _begin_handed(self) -> None:
        failed: dict[Role, Exception] = {}
        while True:
            with self._mutex:
                if not self._handed:
                    return
                role, call = self._handed.popleft()
            try:
                if role in failed:
                    raise failed[role]
                call.begin(self._wire(role))
            except RabbitMQLost as error:
                # Those who asked together are told together: each attempt takes its time.
                failed[role] = error
                call.fail(error)
            except Exception as error:
                logger.exception("the thread of RabbitMQ's connections goes on")
                call.fail(error)

    def _wire(self, role: Role) -> Wire:
        if role not in self._wires:
            self._wires[role] = Wire(self._address, connect_s=self._connect_s)
        return self._wires[role]

    def _each_wire(self, action: Callable[[Wire], None]) -> None:
        for role, wire in list(self._wires.items()):
            try:
                action(wire)
            except RabbitMQLost as error:
                self._drop(role, error)
            except Exception as error:
                logger.exception("a connection to RabbitMQ is given up")
                self._drop(role, RabbitMQLost(f"{type(error).__name__}: {error}"))

    def _drop(self, role: Role, error: RabbitMQLost) -> None:
        wire = self._wires.pop(role, None)
        if wire is not None:
            logger.info("%r: %s", self, error)
            wire.close(error)

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception:
            logger.exception("the thread of RabbitMQ's connections goes on")

    def _forked(self) -> None:
        wires, bell = list(self._wires.values()), self._bell
        self._start_afresh()
        for wire in wires:
            wire.abandon()
        for end in bell or ():
            with contextlib.suppress(OSError):
                os.close(end)


_stores: weakref.WeakSet[RabbitMQStore] = weakref.WeakSet()


def _forked() -> None:
    for store in list(_stores):
        store._forked()


def _close_all() -> None:
    for store in list(_stores):
        store.close()


os.register_at_fork(after_in_child=_forked)
atexit.register(_close_all)
