"""Requests to a ZooKeeper under way, whose answers kazoo's thread reads."""

from collections.abc import Callable, Sequence
from typing import Any


class Pending:
    """One reply to come, as kazoo's connection tells of it: in its thread, at once.

    kazoo's own kind tells in a third thread.
    """

    def __init__(self, told: Callable[[], None]) -> None:
        self._told = told
        self._value: Any = None
        self._error: Exception | None = None
        self._ready = False

    def ready(self) -> bool:
        """Whether it has come, or never will."""
        return self._ready

    def set(self, value: Any = None) -> None:
        """It has come."""
        self._value, self._ready = value, True
        self._told()

    def set_exception(self, error: Exception) -> None:
        """It was refused, or will not come."""
        self._error, self._ready = error, True
        self._told()

    def get(self, timeout: float | None = None) -> Any:
        """What has come. Raises the error instead."""
        if self._error is not None:
            raise self._error
        return self._value


class Sent:
    """Requests that were sent, and replies to come. One thread uses it."""

    def __init__(self, pending: Sequence[Pending], *, replies: Callable[[], list[Any]]) -> None:
        """`replies` makes them of what has come, or raises as `ZooKeeperStore.ask`."""
        self._pending = pending
        self.replies = replies

    def advance(self) -> bool:
        """True once all has come."""
        return all(each.ready() for each in self._pending)
