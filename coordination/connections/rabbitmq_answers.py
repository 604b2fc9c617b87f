"""Waiting for RabbitMQ's replies without holding its thread: an exchange is a generator that
yields each reply it waits for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from coordination.connections.rabbitmq_wire import Wire

T = TypeVar("T")
Heard = Callable[[Any, Exception | None], None]


class Answer:
    """A reply that is to come; one may wait for it, in the thread that hears it."""

    __slots__ = ("_error", "_heard", "_known", "_value")

    def __init__(self) -> None:
        self._heard: Heard | None = None
        self._known = False
        self._value: Any = None
        self._error: Exception | None = None

    def give(self, value: Any = None, error: Exception | None = None) -> None:
        """It came, or will never come."""
        if self._known:
            return
        self._known, self._value, self._error = True, value, error
        if self._heard is not None:
            self._heard(value, error)

    def then(self, heard: Heard) -> None:
        """Tell `heard` of it."""
        if self._known:
            heard(self._value, self._error)
        else:
            self._heard = heard


Steps = Generator[Answer, Any, T]


class Call(Generic[T]):
    """One exchange that a thread asked for: begun at most once, or abandoned before."""

    def __init__(self, steps: Callable[[Wire], Steps[T]]) -> None:
        self.future: Future[T] = Future()
        self._made = steps
        self._steps: Steps[T] | None = None
        self._mutex = threading.Lock()
        self._abandoned = False
        self.begun = False
        """Whether something of it may have been sent."""

    def begin(self, wire: Wire) -> None:
        """Go as far as the first reply."""
        with self._mutex:
            if self._abandoned:
                return
            self.begun = True
        self._steps = self._made(wire)
        self._go(None, None)

    def abandon(self) -> bool:
        """Nobody waits any more; whether it had begun."""
        with self._mutex:
            self._abandoned = True
            return self.begun

    def fail(self, error: Exception) -> None:
        """It cannot begin."""
        if not self.future.done():
            self.future.set_exception(error)

    def _go(self, value: Any, error: Exception | None) -> None:
        assert self._steps is not None
        try:
            answer = self._steps.send(value) if error is None else self._steps.throw(error)
        except StopIteration as end:
            self.future.set_result(end.value)
        except Exception as failure:  # noqa: BLE001  whoever waits is told
            self.fail(failure)
        else:
            answer.then(self._go)
