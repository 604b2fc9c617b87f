"""The live lists and stories that somebody shows, loaded from the records and kept by the feed."""

from __future__ import annotations

from dashboard.clock import now_ms
from dashboard.events import FeedItem
from dashboard.feed.asking import ask
from dashboard.feed.story import Story
from dashboard.feed.view import View
from dashboard.filtering import Filter
from dashboard.limits import UNFINISHED_ROWS, VIEW_ROWS, VIEWS
from dashboard.queries import history, transactions
from dashboard.queries.bounds import TooSlowError
from dashboard.rows import TransactionRow

_UNFILTERED = Filter()


class TooManyViewsError(Exception):
    """This process already shows as many different filters as it may."""


class Shelf:
    """Views by filter, stories by gid, and the unfinished transactions that time may move."""

    def __init__(self) -> None:
        self._views: dict[str, View] = {}
        self._stories: dict[str, Story] = {}
        self._unfinished: dict[str, TransactionRow] = {}

    async def view(self, wanted: Filter) -> View:
        """The view of a filter, seeded, with one user more.

        Raises: TooSlowError, TooManyViewsError.
        """
        key = str(wanted)
        view = self._views.get(key)
        if view is None:
            if len(self._views) >= VIEWS:
                raise TooManyViewsError(f"{VIEWS} different filters are shown already.")
            view = self._views[key] = View(wanted)
        view.users += 1
        try:
            await self._seed_view(view)
        except BaseException:
            self.release_view(view)
            raise
        return view

    async def story(self, gid: str) -> Story:
        """The story of a transaction, seeded, with one user more."""
        story = self._stories.setdefault(gid, Story(gid))
        story.users += 1
        try:
            await self._seed_story(story)
        except BaseException:
            self.release_story(story)
            raise
        return story

    def release_view(self, view: View) -> None:
        """One user less; without any the view is dropped."""
        view.users -= 1
        if view.users <= 0 and self._views.get(str(view.wanted)) is view:
            del self._views[str(view.wanted)]

    def release_story(self, story: Story) -> None:
        """One user less; without any the story is dropped."""
        story.users -= 1
        if story.users <= 0 and self._stories.get(story.gid) is story:
            del self._stories[story.gid]

    def take(self, item: FeedItem, now: int) -> None:
        """Hand one feed item to whom it concerns."""
        row = item.row
        if row is not None:
            self._note(row)
            for view in self._views.values():
                view.touch(row, now)
        story = self._stories.get(item.event.name)
        if story is not None:
            story.touch(item)

    async def tick(self, now: int) -> bool:
        """Let a second pass; True if a list changed or was read again."""
        changed = False
        for view in tuple(self._views.values()):
            changed |= view.tick(self._unfinished.values(), now)
            if view.thin:
                view.unseed()
            changed |= await self._try_view(view)
        for story in tuple(self._stories.values()):
            if story.broken:
                story.unseed()
            changed |= await self._seed_story(story)
        return changed

    async def reload(self) -> None:
        """Read everything again from the records."""
        for view in self._views.values():
            view.unseed()
        for story in self._stories.values():
            story.unseed()
        rows, _ = await ask(transactions.first, _UNFILTERED, now_ms=now_ms(), limit=UNFINISHED_ROWS)
        self._unfinished = {row.gid: row for row in rows if row.ended_ms is None}
        for view in tuple(self._views.values()):
            await self._try_view(view)
        for story in tuple(self._stories.values()):
            await self._seed_story(story)

    def _note(self, row: TransactionRow) -> None:
        if row.ended_ms is not None:
            self._unfinished.pop(row.gid, None)
        elif row.gid in self._unfinished or len(self._unfinished) < UNFINISHED_ROWS:
            self._unfinished[row.gid] = row

    async def _try_view(self, view: View) -> bool:
        """Seed it if it is not; a filter that is too slow now is tried again at the next tick."""
        try:
            return await self._seed_view(view)
        except TooSlowError:
            return False

    async def _seed_view(self, view: View) -> bool:
        async with view.loading:
            if view.seeded:
                return False
            now = now_ms()
            rows, more = await ask(transactions.first, view.wanted, now_ms=now, limit=VIEW_ROWS)
            view.seed(rows, truncated=more, now_ms=now)
            return True

    async def _seed_story(self, story: Story) -> bool:
        async with story.loading:
            if story.seeded:
                return False
            events = await ask(history.of_transaction, story.gid)
            row = await ask(transactions.one, story.gid)
            story.seed(row, events)
            return True
