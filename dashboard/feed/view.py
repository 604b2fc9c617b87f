"""The live rows behind one filter, shared by every socket that shows it."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Any, Generic, Protocol, TypeVar

from dashboard.filtering import Filter, Term
from dashboard.limits import PAGE_ROWS, VIEW_ROWS


class Listed(Protocol):
    """A row that lists can show."""

    @property
    def id(self) -> str:
        """What the list knows it by."""

    @property
    def version(self) -> int:
        """Of its object; grows."""

    @property
    def edition(self) -> object:
        """Another one whenever the row reads otherwise."""

    @property
    def order(self) -> tuple[Any, ...]:
        """Sort key, ending with the id."""

    def answers(self, term: Term, now_ms: int) -> bool:
        """Whether a filter's condition is met, negation left aside."""

    def wire(self) -> dict[str, Any]:
        """As lists send it."""


Row = TypeVar("Row", bound=Listed)


class View(Generic[Row]):
    """The first rows that match a filter, kept in order while events arrive.

    It knows the list only down to its last row: when there were more (`truncated`), rows sorting
    behind that one are left to the database.
    """

    def __init__(self, wanted: Filter) -> None:
        self.wanted = wanted
        self.users = 0
        self.loading = asyncio.Lock()
        self.seeded = False
        self.truncated = False
        self.seeded_ms = 0
        self.stamp = 0
        """Grows with every change of rows or order."""
        self._rows: dict[str, Row] = {}
        self._order: list[tuple[Any, ...]] = []
        self._backlog: list[Row] = []

    @property
    def thin(self) -> bool:
        """Whether so many rows left that the page is no longer full although there are more."""
        return self.truncated and len(self._order) < PAGE_ROWS

    def unseed(self) -> None:
        """Forget everything; rows that arrive until `seed` are kept aside for it."""
        self.seeded, self.truncated = False, False
        self._rows.clear()
        self._order.clear()
        self._backlog.clear()

    def seed(self, rows: Iterable[Row], *, truncated: bool, now_ms: int) -> None:
        """Start from what the database said, then take in what arrived meanwhile."""
        backlog, self._backlog = self._backlog, []
        self._rows = {row.id: row for row in rows}
        self._order = sorted(row.order for row in self._rows.values())
        self.truncated, self.seeded, self.seeded_ms = truncated, True, now_ms
        self.stamp += 1
        for row in backlog:
            self.touch(row, now_ms)

    def touch(self, row: Row, now_ms: int) -> bool:
        """Take in a newer state of one row; True if the list changed."""
        if not self.seeded:
            self._backlog.append(row)
            return False
        before = self._rows.get(row.id)
        if before is not None and (before.version > row.version or before.edition == row.edition):
            return False
        belongs = self.wanted.matches(row, now_ms) and not self._out_of_sight(row)
        if before is None and not belongs:
            return False
        if before is not None:
            self._remove(before)
        if belongs:
            self._insert(row)
        self.stamp += 1
        return True

    def tick(self, moving: Iterable[Row], now_ms: int) -> bool:
        """Let time pass for a filter that looks at it: rows enter and leave without an event."""
        if not self.seeded or not self.wanted.timed:
            return False
        changed = False
        for row in moving:
            before = self._rows.get(row.id)
            belongs = self.wanted.matches(row, now_ms)
            if before is not None and not belongs:
                self._remove(before)
                changed = True
            elif before is None and belongs and not self._out_of_sight(row):
                self._insert(row)
                changed = True
        self.stamp += changed
        return changed

    def window(self) -> list[Row]:
        """The rows of the page, in order."""
        return [self._rows[key[-1]] for key in self._order[:PAGE_ROWS]]

    def _out_of_sight(self, row: Row) -> bool:
        return self.truncated and bool(self._order) and row.order > self._order[-1]

    def _insert(self, row: Row) -> None:
        self._rows[row.id] = row
        insort(self._order, row.order)
        if len(self._order) > VIEW_ROWS:
            last = self._order.pop()
            del self._rows[last[-1]]
            self.truncated = True

    def _remove(self, row: Row) -> None:
        del self._rows[row.id]
        del self._order[bisect_left(self._order, row.order)]
