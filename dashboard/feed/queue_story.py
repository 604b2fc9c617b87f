"""One queue as its page shows it, shared by every socket that does.

How it stands is sampled and so no event: it is read again from the records at each tick.
"""

from __future__ import annotations

import asyncio

from dashboard.clock import now_ms
from dashboard.events import FeedItem
from dashboard.feed.asking import ask
from dashboard.queries import queue
from dashboard.queries.bounds import TooSlowError
from dashboard.queries.queue import QueuePast
from dashboard.queue_rows import QueueRow


class QueueStory:
    """One queue's record, its rates, its messages and the sweeps of it."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.users = 0
        self.loading = asyncio.Lock()
        self.seeded = False
        self.stamp = 0
        """Grows with every change."""
        self.row: QueueRow | None = None
        self.past: QueuePast | None = None

    def unseed(self) -> None:
        """Nothing to forget: each tick reads it all."""

    def touch(self, item: FeedItem) -> bool:
        """What happened is seen with the next tick."""
        return False

    async def refresh(self) -> bool:
        """Read it again; True if it changed."""
        async with self.loading:
            try:
                found = await ask(queue.read, self.key, now_ms())
            except TooSlowError:
                return False
            row, past = (found.row, found.past) if found else (None, None)
            changed = not self.seeded or row != self.row or past != self.past
            self.row, self.past, self.seeded = row, past, True
            self.stamp += changed
            return changed
