"""The live events of one transaction, shared by every socket that shows it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dashboard.events import EventRow, FeedItem
from dashboard.feed.asking import ask
from dashboard.limits import STORY_EVENTS
from dashboard.queries import history, transactions
from dashboard.rows import TransactionRow


class Story:
    """One transaction's events in order, and its record after the last of them."""

    def __init__(self, gid: str) -> None:
        self.gid = gid
        self.users = 0
        self.loading = asyncio.Lock()
        self.seeded = False
        self.broken = False
        """A version was skipped: it must be read from the records again."""
        self.stamp = 0
        self.row: TransactionRow | None = None
        self.events: list[EventRow] = []
        self._backlog: list[FeedItem] = []

    @property
    def version(self) -> int:
        """The version of the last event known."""
        return self.events[-1].version if self.events else 0

    async def refresh(self) -> bool:
        """Read it from the records unless it is whole; True if it was read."""
        if self.broken:
            self.unseed()
        async with self.loading:
            if self.seeded:
                return False
            events = await ask(history.of_transaction, self.gid)
            row = await ask(transactions.one, self.gid)
            self.seed(row, events)
            return True

    def unseed(self) -> None:
        """Forget everything; items that arrive until `seed` are kept aside for it."""
        self.seeded = False
        self.row, self.events, self._backlog = None, [], []

    def seed(self, row: TransactionRow | None, events: Sequence[EventRow]) -> None:
        """Start from what the database said, then take in what arrived meanwhile."""
        backlog, self._backlog = self._backlog, []
        self.row, self.events = row, list(events)
        self.seeded, self.broken = True, False
        self.stamp += 1
        for item in backlog:
            self.touch(item)

    def touch(self, item: FeedItem) -> bool:
        """Take in the next event; True if the story changed."""
        if not self.seeded:
            self._backlog.append(item)
            return False
        if item.event.version <= self.version:
            return False
        if item.event.version != self.version + 1 or item.event.abridged:
            self.broken = True
        self.events.append(item.event)
        if len(self.events) > STORY_EVENTS:
            # The beginning says what the transaction is; the middle of endless retries can go.
            del self.events[STORY_EVENTS // 2]
        if isinstance(item.row, TransactionRow):
            self.row = item.row
        self.stamp += 1
        return True

    def since(self, version: int) -> list[EventRow]:
        """The events after `version`."""
        return [event for event in self.events if event.version > version]
