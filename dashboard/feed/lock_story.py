"""One lock as its page shows it, shared by every socket that does.

Its record follows the feed. Its grants and refusals are no part of the feed: they are read again
from the records, at most once at each tick, after something happened to it.
"""

from __future__ import annotations

import asyncio

from dashboard.events import FeedItem
from dashboard.feed.asking import ask
from dashboard.lock_history import GrantRow, RefusalRow
from dashboard.lock_rows import LockRow
from dashboard.queries import locks

READ_AGAIN_TICKS = 5
"""A write refused at a resource is no event of the lock, so its history is looked at anyway."""


class LockStory:
    """One lock's record, its last grants, and who was refused."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.users = 0
        self.loading = asyncio.Lock()
        self.seeded = False
        self.stamp = 0
        """Grows with every change."""
        self.past_stamp = 0
        """Grows with every change of the grants and refusals."""
        self.row: LockRow | None = None
        self.grants: tuple[GrantRow, ...] = ()
        self.refusals: tuple[RefusalRow, ...] = ()
        self._stale = True
        self._ticks = 0

    def unseed(self) -> None:
        """Read everything again with the next `refresh`."""
        self._stale = True

    def touch(self, item: FeedItem) -> bool:
        """Take in what happened to it; True if its record changed."""
        self._stale = True
        row = item.row
        if not isinstance(row, LockRow) or not self._newer(row):
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
                row = await ask(locks.one, self.key)
                past = await ask(locks.grants, self.key), await ask(locks.refusals, self.key)
            except BaseException:
                self._stale = True
                raise
            return self._take(row, past)

    def _take(
        self, row: LockRow | None, past: tuple[tuple[GrantRow, ...], tuple[RefusalRow, ...]]
    ) -> bool:
        changed = not self.seeded
        if row is not None and self._newer(row):
            self.row, changed = row, True
        if past != (self.grants, self.refusals):
            (self.grants, self.refusals), changed = past, True
            self.past_stamp += 1
        self.seeded = True
        self.stamp += changed
        return changed

    def _newer(self, row: LockRow) -> bool:
        mine = self.row
        return mine is None or (row.version >= mine.version and row.edition != mine.edition)
