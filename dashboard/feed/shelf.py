"""What somebody shows: live lists, and the stories of single things; all kept by the feed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from dashboard.counter_rows import CounterRow
from dashboard.events import FeedItem
from dashboard.feed.asking import ask
from dashboard.feed.counter_story import CounterStory
from dashboard.feed.lists import Lists
from dashboard.feed.lock_story import LockStory
from dashboard.feed.queue_story import QueueStory
from dashboard.feed.story import Story
from dashboard.feed.view import View
from dashboard.filtering import COUNTERS, LOCKS, QUEUES, TRANSACTIONS, Filter, Grammar
from dashboard.limits import LISTS_REREAD_MS, QUEUES_REREAD_MS
from dashboard.lock_rows import LockRow
from dashboard.queries import counters, locks, queues, transactions
from dashboard.queue_rows import QueueRow
from dashboard.rows import TransactionRow

GRAMMARS: Final[dict[str, Grammar]] = {
    "transactions": TRANSACTIONS,
    "locks": LOCKS,
    "counters": COUNTERS,
    "queues": QUEUES,
}
"""Every list there is, and the language of its filters."""

AnyStory = Story | LockStory | CounterStory | QueueStory
_Any = TypeVar("_Any", Story, LockStory, CounterStory, QueueStory)


class Shelf:
    """Lists by name, stories by what they tell of."""

    def __init__(self) -> None:
        self.transactions: Lists[TransactionRow] = Lists(
            transactions.LIST.first, moves=lambda row: row.ended_ms is None
        )
        self.locks: Lists[LockRow] = Lists(
            locks.LIST.first, moves=lambda row: row.until_ms is not None, reread_ms=LISTS_REREAD_MS
        )
        self.counters: Lists[CounterRow] = Lists(
            counters.LIST.first, moves=lambda row: not row.disputed, reread_ms=LISTS_REREAD_MS
        )
        self._partial: set[str] = set()
        """Counters in several rows that changed: their sum is in the records."""
        self._counter_stories: dict[str, CounterStory] = {}
        # How they stand is sampled: the list is read again, whether or not anything happened.
        self.queues: Lists[QueueRow] = Lists(
            queues.LIST.first, moves=lambda row: False, reread_ms=QUEUES_REREAD_MS
        )
        self._stories: dict[str, Story] = {}
        self._lock_stories: dict[str, LockStory] = {}
        self._queue_stories: dict[str, QueueStory] = {}

    async def view(self, name: str, wanted: Filter) -> View[Any]:
        """The view of a filter, seeded, with one user more.

        Raises: TooSlowError, TooManyViewsError.
        """
        return await self._lists(name).view(wanted)

    def release_view(self, name: str, view: View[Any]) -> None:
        """One user less shows it."""
        self._lists(name).release(view)

    async def story(self, gid: str) -> Story:
        """The story of a transaction, seeded, with one user more."""
        return await _opened(self._stories, gid, Story)

    def release_story(self, story: Story) -> None:
        """One user less; without any the story is dropped."""
        _closed(self._stories, story.gid, story)

    async def lock_story(self, key: str) -> LockStory:
        """The story of a lock, seeded, with one user more."""
        return await _opened(self._lock_stories, key, LockStory)

    def release_lock_story(self, story: LockStory) -> None:
        """One user less; without any the story is dropped."""
        _closed(self._lock_stories, story.key, story)

    async def counter_story(self, key: str) -> CounterStory:
        """The story of a counter, seeded, with one user more."""
        return await _opened(self._counter_stories, key, CounterStory)

    def release_counter_story(self, story: CounterStory) -> None:
        """One user less; without any the story is dropped."""
        _closed(self._counter_stories, story.key, story)

    async def queue_story(self, key: str) -> QueueStory:
        """The story of a queue, seeded, with one user more."""
        return await _opened(self._queue_stories, key, QueueStory)

    def release_queue_story(self, story: QueueStory) -> None:
        """One user less; without any the story is dropped."""
        _closed(self._queue_stories, story.key, story)

    def take(self, item: FeedItem, now: int) -> None:
        """Hand one feed item to whom it concerns."""
        row, event = item.row, item.event
        match row:
            case TransactionRow():
                self.transactions.take(row, now)
            case LockRow():
                self.locks.take(row, now)
            case CounterRow(partial=True):
                self._partial.add(row.counter)
            case CounterRow():
                self.counters.take(row, now)
        story = self._story_of(event.object, event.name)
        if story is not None:
            story.touch(item)

    async def tick(self, now: int) -> bool:
        """Let a second pass; True if something changed or was read again."""
        changed = await self.transactions.tick(now)
        changed |= await self.locks.tick(now)
        await self._take_sums(now)
        changed |= await self.counters.tick(now)
        changed |= await self.queues.tick(now)
        for story in self._every_story():
            changed |= await story.refresh()
        return changed

    async def reload(self) -> None:
        """Read everything again from the records."""
        for story in self._every_story():
            story.unseed()
        await self.transactions.reload()
        await self.locks.reload()
        await self.counters.reload()
        await self.queues.reload()
        for story in self._every_story():
            await story.refresh()

    async def _take_sums(self, now: int) -> None:
        if not self._partial:
            return
        changed, self._partial = sorted(self._partial), set()
        for row in (await ask(counters.several, changed)).values():
            self.counters.take(row, now)

    def _every_story(self) -> list[AnyStory]:
        return [
            *self._stories.values(),
            *self._lock_stories.values(),
            *self._counter_stories.values(),
            *self._queue_stories.values(),
        ]

    def _story_of(self, kind: str, name: str) -> AnyStory | None:
        if kind == "counter":
            # Behind the name may be the number of a row.
            return self._counter_stories.get(" ".join(name.split(" ")[:2]))
        return (self._lock_stories if kind == "lock" else self._stories).get(name)

    def _lists(self, name: str) -> Lists[Any]:
        every: dict[str, Lists[Any]] = {
            "locks": self.locks,
            "counters": self.counters,
            "queues": self.queues,
        }
        return every.get(name, self.transactions)


async def _opened(stories: dict[str, _Any], name: str, make: Callable[[str], _Any]) -> _Any:
    story = stories.get(name)
    if story is None:
        story = stories[name] = make(name)
    story.users += 1
    try:
        await story.refresh()
    except BaseException:
        _closed(stories, name, story)
        raise
    return story


def _closed(stories: dict[str, _Any], name: str, story: _Any) -> None:
    story.users -= 1
    if story.users <= 0 and stories.get(name) is story:
        del stories[name]
