"""Figures read from the records on a timer, once for all sockets of this process."""

from __future__ import annotations

from typing import Any

from dashboard.clock import now_ms
from dashboard.feed.asking import ask
from dashboard.queries import overview, transactions


class Board:
    """The latest figures; each has a stamp that grows when it was read anew."""

    def __init__(self) -> None:
        self.overview: dict[str, Any] | None = None
        self.overview_stamp = 0
        self.counts: dict[str, int] = {}
        self.counts_stamp = 0
        self.rail: dict[str, int] | None = None

    async def refresh(self, *, with_overview: bool, with_counts: bool) -> None:
        """Read what somebody looks at, and the two figures every page shows."""
        if with_overview:
            found = await ask(overview.read, now_ms())
            self.overview = found.wire()
            self.overview_stamp += 1
            self.rail = {"doubt": found.doubt.count, "broken": found.broken}
        else:
            self.rail = await ask(overview.rail, now_ms())
        if with_counts:
            counts = await ask(transactions.counts, now_ms())
            if counts != self.counts:
                self.counts, self.counts_stamp = counts, self.counts_stamp + 1
