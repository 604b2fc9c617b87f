"""One lock as its page shows it, shared by every socket that does.

A write refused at a resource is no event of the lock: its history is looked at now and then anyway.
"""

from __future__ import annotations

from dashboard.events import FeedItem
from dashboard.feed.asking import ask
from dashboard.feed.record_story import RecordStory
from dashboard.lock_history import GrantRow, RefusalRow
from dashboard.lock_rows import LockRow
from dashboard.queries import locks

Past = tuple[tuple[GrantRow, ...], tuple[RefusalRow, ...]]


class LockStory(RecordStory[LockRow, Past]):
    """One lock's record, its last grants, and who was refused."""

    def __init__(self, key: str) -> None:
        super().__init__(key, past=((), ()))

    @property
    def grants(self) -> tuple[GrantRow, ...]:
        """The last ones."""
        return self.past[0]

    @property
    def refusals(self) -> tuple[RefusalRow, ...]:
        """Of whoever came too late."""
        return self.past[1]

    async def _read(self) -> tuple[LockRow | None, Past]:
        row = await ask(locks.one, self.key)
        return row, (await ask(locks.grants, self.key), await ask(locks.refusals, self.key))

    def _of_feed(self, item: FeedItem) -> LockRow | None:
        return item.row if isinstance(item.row, LockRow) else None
