"""What somebody shows: live lists, and the stories of single things; all kept by the feed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from dashboard.events import FeedItem
from dashboard.feed.lists import Lists
from dashboard.feed.lock_story import LockStory
from dashboard.feed.story import Story
from dashboard.feed.view import View
from dashboard.filtering import LOCKS, TRANSACTIONS, Filter, Grammar
from dashboard.limits import LISTS_REREAD_MS
from dashboard.lock_rows import LockRow
from dashboard.queries import locks, transactions
from dashboard.rows import TransactionRow

GRAMMARS: Final[dict[str, Grammar]] = {"transactions": TRANSACTIONS, "locks": LOCKS}
"""Every list there is, and the language of its filters."""

_Any = TypeVar("_Any", Story, LockStory)


class Shelf:
    """Lists by name, stories by what they tell of."""

    def __init__(self) -> None:
        self.transactions: Lists[TransactionRow] = Lists(
            transactions.LIST.first, moves=lambda row: row.ended_ms is None
        )
        self.locks: Lists[LockRow] = Lists(
            locks.LIST.first, moves=lambda row: row.until_ms is not None, reread_ms=LISTS_REREAD_MS
        )
        self._stories: dict[str, Story] = {}
        self._lock_stories: dict[str, LockStory] = {}

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

    def take(self, item: FeedItem, now: int) -> None:
        """Hand one feed item to whom it concerns."""
        row, event = item.row, item.event
        if isinstance(row, TransactionRow):
            self.transactions.take(row, now)
        elif row is not None:
            self.locks.take(row, now)
        stories = self._lock_stories if event.object == "lock" else self._stories
        story = stories.get(event.name)
        if story is not None:
            story.touch(item)

    async def tick(self, now: int) -> bool:
        """Let a second pass; True if something changed or was read again."""
        changed = await self.transactions.tick(now)
        changed |= await self.locks.tick(now)
        for story in self._every_story():
            changed |= await story.refresh()
        return changed

    async def reload(self) -> None:
        """Read everything again from the records."""
        for story in self._every_story():
            story.unseed()
        await self.transactions.reload()
        await self.locks.reload()
        for story in self._every_story():
            await story.refresh()

    def _every_story(self) -> list[Story | LockStory]:
        return [*self._stories.values(), *self._lock_stories.values()]

    def _lists(self, name: str) -> Lists[Any]:
        return self.locks if name == "locks" else self.transactions


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
