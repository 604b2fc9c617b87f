"""Figures read from the records on a timer, once for all sockets of this process."""

from __future__ import annotations

from collections.abc import Callable, Collection
from time import monotonic
from typing import Any, Final, TypeVar

from dashboard.clock import now_ms
from dashboard.feed.asking import ask
from dashboard.limits import FIGURES_SHARE
from dashboard.queries import counters, locks, overview, queues, transactions, waits

COUNTED: Final[dict[str, Callable[[int], dict[str, int]]]] = {
    "transactions": transactions.counts,
    "locks": locks.counts,
    "counters": counters.counts,
    "queues": queues.counts,
}

_Value = TypeVar("_Value")


class Figure:
    """One value read on the timer, with a stamp that grows whenever it became another one."""

    def __init__(self) -> None:
        self.value: Any = None
        self.stamp = 0
        self._due_at = 0.0

    async def read(self, query: Callable[[int], _Value]) -> None:
        """Read it, unless the last reading took so long that it is not due yet."""
        begun_at = monotonic()
        if begun_at < self._due_at:
            return
        value = await ask(query, now_ms())
        # A large table must not keep the database busy with counting it.
        self._due_at = begun_at + (monotonic() - begun_at) * FIGURES_SHARE
        if value != self.value:
            self.value, self.stamp = value, self.stamp + 1


class Board:
    """The latest figures."""

    def __init__(self) -> None:
        self.overview: dict[str, Any] | None = None
        self.overview_stamp = 0
        self.counts: dict[str, Figure] = {name: Figure() for name in COUNTED}
        self.waits = Figure()
        self.rail: dict[str, int] | None = None

    async def refresh(self, topics: Collection[str]) -> None:
        """Read what somebody looks at, and the figures every page shows."""
        if "overview" in topics:
            found = await ask(overview.read, now_ms())
            self.overview = found.wire()
            self.overview_stamp += 1
        self.rail = await ask(overview.rail, now_ms())
        for name, count in COUNTED.items():
            if name in topics:
                await self.counts[name].read(count)
        if "waits" in topics:
            await self.waits.read(_waits)


def _waits(_now_ms: int) -> dict[str, Any]:
    return waits.read().wire()
