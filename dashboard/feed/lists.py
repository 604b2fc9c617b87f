"""The live lists of one kind of rows, loaded from the records and kept by the feed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from dashboard.clock import now_ms
from dashboard.feed.asking import ask
from dashboard.feed.view import Listed, Row, View
from dashboard.filtering import Filter
from dashboard.limits import UNFINISHED_ROWS, VIEW_ROWS, VIEWS
from dashboard.queries.bounds import TooSlowError

_UNFILTERED = Filter()
_Read_co = TypeVar("_Read_co", bound=Listed, covariant=True)


class TooManyViewsError(Exception):
    """This process already shows as many different filters as it may."""


class First(Protocol[_Read_co]):
    """Reads the first rows of a list, and whether there are more."""

    def __call__(
        self, wanted: Filter, *, now_ms: int, limit: int
    ) -> tuple[tuple[_Read_co, ...], bool]: ...


class Lists(Generic[Row]):
    """Views by filter, and the rows that the mere passing of time may move between them.

    Args:
        first: reads the beginning of a list. Raises TooSlowError.
        moves: whether time may move a row from one filter to another.
        reread_ms: views are read again when they are older; None trusts the feed alone.
    """

    def __init__(
        self,
        first: First[Row],
        *,
        moves: Callable[[Row], bool],
        reread_ms: int | None = None,
    ) -> None:
        self._first, self._moves, self._reread_ms = first, moves, reread_ms
        self._views: dict[str, View[Row]] = {}
        self._moving: dict[str, Row] = {}

    async def view(self, wanted: Filter) -> View[Row]:
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
            await self._seed(view)
        except BaseException:
            self.release(view)
            raise
        return view

    def release(self, view: View[Row]) -> None:
        """One user less; without any the view is dropped."""
        view.users -= 1
        if view.users <= 0 and self._views.get(str(view.wanted)) is view:
            del self._views[str(view.wanted)]

    def take(self, row: Row, now: int) -> None:
        """A newer state of one row."""
        if not self._moves(row):
            self._moving.pop(row.id, None)
        elif row.id in self._moving or len(self._moving) < UNFINISHED_ROWS:
            self._moving[row.id] = row
        for view in self._views.values():
            view.touch(row, now)

    async def tick(self, now: int) -> bool:
        """Let a second pass; True if a list changed or was read again."""
        changed = False
        for view in tuple(self._views.values()):
            changed |= view.tick(self._moving.values(), now)
            if view.thin or (view.seeded and self._old(view, now)):
                view.unseed()
            changed |= await self._try(view)
        return changed

    async def reload(self) -> None:
        """Read everything again from the records."""
        for view in self._views.values():
            view.unseed()
        rows, _ = await ask(self._first, _UNFILTERED, now_ms=now_ms(), limit=UNFINISHED_ROWS)
        self._moving = {row.id: row for row in rows if self._moves(row)}
        for view in tuple(self._views.values()):
            await self._try(view)

    def _old(self, view: View[Row], now: int) -> bool:
        return self._reread_ms is not None and now - view.seeded_ms > self._reread_ms

    async def _try(self, view: View[Row]) -> bool:
        """Seed it if it is not; a filter that is too slow now is tried again at the next tick."""
        try:
            return await self._seed(view)
        except TooSlowError:
            return False

    async def _seed(self, view: View[Row]) -> bool:
        async with view.loading:
            if view.seeded:
                return False
            now = now_ms()
            rows, more = await ask(self._first, view.wanted, now_ms=now, limit=VIEW_ROWS)
            view.seed(rows, truncated=more, now_ms=now)
            return True
