"""The live rows behind one filter, shared by every socket that shows it."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections.abc import Iterable

from dashboard.filtering import Filter
from dashboard.limits import PAGE_ROWS, VIEW_ROWS
from dashboard.rows import TransactionRow

_Key = tuple[int, int, str]


class View:
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
        self.stamp = 0
        """Grows with every change of rows or order."""
        self._rows: dict[str, TransactionRow] = {}
        self._order: list[_Key] = []
        self._backlog: list[TransactionRow] = []

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

    def seed(self, rows: Iterable[TransactionRow], *, truncated: bool, now_ms: int) -> None:
        """Start from what the database said, then take in what arrived meanwhile."""
        backlog, self._backlog = self._backlog, []
        self._rows = {row.gid: row for row in rows}
        self._order = sorted(row.order for row in self._rows.values())
        self.truncated, self.seeded = truncated, True
        self.stamp += 1
        for row in backlog:
            self.touch(row, now_ms)

    def touch(self, row: TransactionRow, now_ms: int) -> bool:
        """Take in a newer state of one transaction; True if the list changed."""
        if not self.seeded:
            self._backlog.append(row)
            return False
        before = self._rows.get(row.gid)
        if before is not None and before.version >= row.version:
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

    def tick(self, unfinished: Iterable[TransactionRow], now_ms: int) -> bool:
        """Let time pass for a filter that looks at it: rows enter and leave without an event."""
        if not self.seeded or not self.wanted.timed:
            return False
        changed = False
        for row in unfinished:
            before = self._rows.get(row.gid)
            belongs = self.wanted.matches(row, now_ms)
            if before is not None and not belongs:
                self._remove(before)
                changed = True
            elif before is None and belongs and not self._out_of_sight(row):
                self._insert(row)
                changed = True
        self.stamp += changed
        return changed

    def window(self) -> list[TransactionRow]:
        """The rows of the page, in order."""
        return [self._rows[key[2]] for key in self._order[:PAGE_ROWS]]

    def _out_of_sight(self, row: TransactionRow) -> bool:
        return self.truncated and bool(self._order) and row.order > self._order[-1]

    def _insert(self, row: TransactionRow) -> None:
        self._rows[row.gid] = row
        insort(self._order, row.order)
        if len(self._order) > VIEW_ROWS:
            last = self._order.pop()
            del self._rows[last[2]]
            self.truncated = True

    def _remove(self, row: TransactionRow) -> None:
        del self._rows[row.gid]
        del self._order[bisect_left(self._order, row.order)]
