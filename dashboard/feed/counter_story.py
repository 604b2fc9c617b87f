"""One counter as its page shows it, shared by every socket that does.

Where it is kept in several rows, only the records know the sum: the feed carries one of them.
"""

from __future__ import annotations

from dashboard.counter_rows import CellRow, ChangeRow, CounterRow
from dashboard.events import FeedItem
from dashboard.feed.asking import ask
from dashboard.feed.record_story import RecordStory
from dashboard.queries import counters

Past = tuple[tuple[ChangeRow, ...], tuple[CellRow, ...]]


class CounterStory(RecordStory[CounterRow, Past]):
    """One counter's record, its last changes, and the rows it is kept in."""

    def __init__(self, key: str) -> None:
        super().__init__(key, past=((), ()))

    @property
    def changes(self) -> tuple[ChangeRow, ...]:
        """The last ones."""
        return self.past[0]

    @property
    def cells(self) -> tuple[CellRow, ...]:
        """The rows that it is kept in."""
        return self.past[1]

    async def _read(self) -> tuple[CounterRow | None, Past]:
        row = await ask(counters.one, self.key)
        return row, (await ask(counters.changes, self.key), await ask(counters.cells, self.key))

    def _of_feed(self, item: FeedItem) -> CounterRow | None:
        row = item.row
        return row if isinstance(row, CounterRow) and not row.partial else None
