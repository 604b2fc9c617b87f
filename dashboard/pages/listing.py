"""A page with a list: its filter stands in the address, its first page is live."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from dashboard.clock import now_ms
from dashboard.feed.view import Listed
from dashboard.filtering import Filter, FilterError, Grammar, parse
from dashboard.limits import FILTER_CHARS
from dashboard.pages.facets import Facets, chips
from dashboard.pages.shell import page
from dashboard.queries.bounds import TooSlowError
from dashboard.queries.listing import Listing, Page

Row = TypeVar("Row", bound=Listed)
Cursor = TypeVar("Cursor")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage(Generic[Row, Cursor]):
    """What one list differs in from the others."""

    name: str
    """Of its route, its template, its script, its feed topic and its place in the navigation."""
    title: str
    order: str
    """What it is sorted by, in words."""
    narrowed_by: str
    """What makes a filter that is too slow faster, in words."""
    grammar: Grammar
    listing: Listing[Row, Cursor]
    shown: Callable[[Row, int], object]
    """A row with what only the moment of rendering knows."""
    facets: Facets

    def answer(self, request: HttpRequest) -> HttpResponse:
        """Render it; `q` the filter, `add` one more term, `older`/`newer` a cursor."""
        text = f"{request.GET.get('q', '').strip()} {request.GET.get('add', '').strip()}".strip()
        try:
            wanted = parse(text, self.grammar)
        except FilterError as error:
            return self._refused(request, text, str(error))
        if "add" in request.GET:
            return HttpResponseRedirect(self._address(wanted))
        now, listing = now_ms(), self.listing
        older, newer = self._cursor(request, "older"), self._cursor(request, "newer")
        try:
            found = listing.page(wanted, now_ms=now, older=older, newer=newer)
            tallies = listing.counts(now)
        except TooSlowError as error:
            return self._refused(request, str(wanted), f"{error} Narrow it by {self.narrowed_by}.")
        if newer is not None and found.newer is None:
            return HttpResponseRedirect(self._address(wanted))
        live = older is None and newer is None
        return self._rendered(request, wanted, found, tallies, now=now, live=live)

    def _rendered(
        self,
        request: HttpRequest,
        wanted: Filter,
        found: Page[Row, Cursor],
        tallies: Mapping[str, int],
        *,
        now: int,
        live: bool,
    ) -> HttpResponse:
        return self._page(
            request,
            wanted,
            tallies,
            found=found.rows,
            live=live,
            rows=[self.shown(row, now) for row in found.rows],
            chips=chips(wanted, self._address),
            older=self._address(wanted, older=found.older) if found.older else "",
            newer=self._address(wanted, newer=found.newer) if found.newer else "",
        )

    def _refused(self, request: HttpRequest, text: str, error: str) -> HttpResponse:
        """The page still stands; it says what is wrong and how to get out."""
        return self._page(request, Filter(), {}, error=error, text=text[:FILTER_CHARS])

    def _page(
        self,
        request: HttpRequest,
        wanted: Filter,
        tallies: Mapping[str, int],
        *,
        found: tuple[Row, ...] = (),
        live: bool = False,
        **context: Any,
    ) -> HttpResponse:
        return page(
            request,
            f"dashboard/{self.name}.html",
            title=self.title,
            current=self.name,
            data={
                "list": self.name,
                "order": self.order,
                "filter": str(wanted),
                "rows": [row.wire() for row in found],
                "beside": self.facets.beside,
                "count_max": self.facets.count_max,
                "live": live,
            },
            order=self.order,
            live=live,
            wanted=wanted,
            address=reverse(f"dashboard:{self.name}"),
            first=self._address(wanted),
            facets=self.facets.shown(wanted, tallies, self._address),
            **context,
        )

    def _cursor(self, request: HttpRequest, name: str) -> Cursor | None:
        return self.listing.cursor_from(request.GET.get(name, ""))

    def _address(self, wanted: Filter, **query: object) -> str:
        pairs = {"q": str(wanted)} if wanted else {}
        pairs |= {name: str(value) for name, value in query.items()}
        address = reverse(f"dashboard:{self.name}")
        return f"{address}?{urlencode(pairs)}" if pairs else address
