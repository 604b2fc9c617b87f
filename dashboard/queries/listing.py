"""How a list is read, whatever its rows are: its beginning, and page after page.

Keyset paging: a cursor is a place between two rows, made of what the list is sorted by, so rows
that come and go meanwhile neither repeat nor hide others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from django.db.models import Model, QuerySet

from dashboard.filtering import Answering, Filter
from dashboard.limits import PAGE_ROWS

# A row judged by the clock may fail in memory what the query let through.
_SLACK: Final = 2

Row = TypeVar("Row", bound=Answering)
Cursor = TypeVar("Cursor")
_Read_co = TypeVar("_Read_co", bound=Answering, covariant=True)
_Cursor_contra = TypeVar("_Cursor_contra", contravariant=True)


class Reads(Protocol[_Read_co, _Cursor_contra]):
    """Reads rows on one side of a cursor, in the list's order."""

    def __call__(
        self, wanted: Filter, cursor: _Cursor_contra, *, now_ms: int, limit: int
    ) -> Iterable[_Read_co]:
        """At most `limit` rows, those nearest to the cursor. Raises TooSlowError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Row, Cursor]):
    """A stretch of a list, with the cursors of the stretches beside it where there are any."""

    rows: tuple[Row, ...]
    older: Cursor | None
    newer: Cursor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[Row, Cursor]):
    """One list: how to read behind a place and before it, and how to name and find a place."""

    after: Reads[Row, Cursor | None]
    """Behind the cursor, or from the beginning."""
    before: Reads[Row, Cursor]
    cursor_of: Callable[[Row], Cursor]
    cursor_from: Callable[[str], Cursor | None]
    """From its text in a URL; None when it is not one."""
    counts: Callable[[int], dict[str, int]]
    """How many there are of each quick filter at a moment, in milliseconds."""

    def first(self, wanted: Filter, *, now_ms: int, limit: int) -> tuple[tuple[Row, ...], bool]:
        """The first `limit` rows, and whether there are more.

        Raises:
            TooSlowError: the filter matches too little of too much.
        """
        rows = tuple(self.after(wanted, None, now_ms=now_ms, limit=limit + 1))
        return rows[:limit], len(rows) > limit

    def page(
        self,
        wanted: Filter,
        *,
        now_ms: int,
        older: Cursor | None = None,
        newer: Cursor | None = None,
    ) -> Page[Row, Cursor]:
        """The page behind the cursor `older`, or before the cursor `newer`, or the first.

        Raises:
            TooSlowError: the filter matches too little of too much.
        """
        if newer is not None:
            rows = tuple(self.before(wanted, newer, now_ms=now_ms, limit=PAGE_ROWS + 1))
            more, rows = len(rows) > PAGE_ROWS, rows[-PAGE_ROWS:]
            return Page(
                rows=rows,
                older=self.cursor_of(rows[-1]) if rows else None,
                newer=self.cursor_of(rows[0]) if more else None,
            )
        rows = tuple(self.after(wanted, older, now_ms=now_ms, limit=PAGE_ROWS + 1))
        more, rows = len(rows) > PAGE_ROWS, rows[:PAGE_ROWS]
        return Page(
            rows=rows,
            older=self.cursor_of(rows[-1]) if more else None,
            newer=self.cursor_of(rows[0]) if older is not None and rows else None,
        )


def columns(record: type[Model]) -> tuple[str, ...]:
    """The columns of a record, as rows are read from them."""
    return tuple(field.attname for field in record._meta.concrete_fields)


def matching(
    found: QuerySet[Any],
    read: Callable[[Mapping[str, Any]], Row],
    *,
    wanted: Filter,
    now_ms: int,
    limit: int,
) -> list[Row]:
    """The first rows of a query that are what is wanted: the filter itself has the last word."""
    values = found.values(*columns(found.model))
    rows = map(read, values[: limit * _SLACK if wanted.timed else limit])
    return [row for row in rows if wanted.matches(row, now_ms)][:limit]
