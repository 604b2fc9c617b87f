"""One thing as its page shows it, shared by every socket that does: its record, and its past.

The record follows the feed. The past is no part of the feed: it is read again from the database, at
most once at each tick, after something happened to it.
"""

from __future__ import annotations

import asyncio
from typing import Generic, Protocol, TypeVar

from dashboard.events import FeedItem

READ_AGAIN_TICKS = 5
"""Not all that changes a record is an event of it, so it is looked at anyway."""


class Versioned(Protocol):
    """A record's row."""

    @property
    def version(self) -> int:
        """Of the thing."""

    @property
    def edition(self) -> object:
        """Another one whenever the row is another."""


Row = TypeVar("Row", bound=Versioned)
Past = TypeVar("Past")


class RecordStory(Generic[Row, Past]):
    """A record and its past; what it is of says how they are read."""

    def __init__(self, key: str, *, past: Past) -> None:
        """`past` is what is known before anything was read."""
        self.key = key
        self.users = 0
        self.loading = asyncio.Lock()
        self.seeded = False
        self.stamp = 0
        """Grows with every change."""
        self.past_stamp = 0
        """Grows with every change of the past."""
        self.row: Row | None = None
        self.past = past
        self._stale = True
        self._ticks = 0

    async def _read(self) -> tuple[Row | None, Past]:
        """From the database."""
        raise NotImplementedError

    def _of_feed(self, item: FeedItem) -> Row | None:
        """The record that an item of the feed carries whole."""
        raise NotImplementedError

    def unseed(self) -> None:
        """Read everything again with the next `refresh`."""
        self._stale = True

    def touch(self, item: FeedItem) -> bool:
        """Take in what happened to it; True if its record changed."""
        self._stale = True
        row = self._of_feed(item)
        if row is None or not self._newer(row):
            return False
        self.row = row
        self.stamp += 1
        return True

    async def refresh(self) -> bool:
        """Read it again if something happened since, or after a while; True if it changed."""
        async with self.loading:
            self._ticks += 1
            if not self._stale and self._ticks < READ_AGAIN_TICKS:
                return False
            self._stale, self._ticks = False, 0
            try:
                row, past = await self._read()
            except BaseException:
                self._stale = True
                raise
            return self._take(row, past)

    def _take(self, row: Row | None, past: Past) -> bool:
        changed = not self.seeded
        if row is not None and self._newer(row):
            self.row, changed = row, True
        if past != self.past:
            self.past, changed = past, True
            self.past_stamp += 1
        self.seeded = True
        self.stamp += changed
        return changed

    def _newer(self, row: Row) -> bool:
        mine = self.row
        return mine is None or (row.version >= mine.version and row.edition != mine.edition)
