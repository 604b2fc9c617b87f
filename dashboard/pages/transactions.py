"""The list of transactions: its filter stands in the address, its first page is live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_safe

from dashboard.access import viewer_required
from dashboard.clock import now_ms
from dashboard.filtering import STATES, Filter, FilterError, parse
from dashboard.limits import COUNT_MAX, FILTER_CHARS
from dashboard.pages.facets import chips, facet
from dashboard.pages.shell import page
from dashboard.queries.bounds import TooSlowError
from dashboard.queries.transactions import Cursor, Page, counts
from dashboard.queries.transactions import page as read_page
from dashboard.rows import DisplayState, TransactionRow
from dashboard.texts import capped
from dashboard.words import STATES as WORDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A row with what only the moment of rendering knows."""

    row: TransactionRow
    state: DisplayState
    age_ms: int

    @property
    def doubt(self) -> bool:
        """Whether its diamond is amber."""
        return self.state is DisplayState.IN_DOUBT


@require_safe
@viewer_required
def transactions(request: HttpRequest) -> HttpResponse:
    """Render the list; `q` the filter, `add` one more term, `older`/`newer` a cursor."""
    text, added = request.GET.get("q", "").strip(), request.GET.get("add", "").strip()
    try:
        wanted = parse(f"{text} {added}".strip())
    except FilterError as error:
        return _refused(request, f"{text} {added}".strip(), str(error))
    if "add" in request.GET:
        return HttpResponseRedirect(_address(wanted))
    now = now_ms()
    older, newer = _cursor(request, "older"), _cursor(request, "newer")
    try:
        found, tallies = read_page(wanted, now_ms=now, older=older, newer=newer), counts(now)
    except TooSlowError as error:
        return _refused(request, str(wanted), f"{error} Narrow it by state, name or age.")
    if newer is not None and found.newer is None:
        return HttpResponseRedirect(_address(wanted))
    return _rendered(request, wanted, found, tallies, now=now, live=older is None and newer is None)


def _rendered(
    request: HttpRequest,
    wanted: Filter,
    found: Page,
    tallies: dict[str, int],
    *,
    now: int,
    live: bool,
) -> HttpResponse:
    rows = [Shown(row=row, state=row.state_at(now), age_ms=row.age_ms(now)) for row in found.rows]
    return page(
        request,
        "dashboard/transactions.html",
        title="Transactions",
        current="transactions",
        data={
            "filter": str(wanted),
            "rows": [row.wire() for row in found.rows],
            "counts": tallies,
            "live": live,
            "more": found.older is not None,
        },
        rows=rows,
        live=live,
        wanted=wanted,
        chips=chips(wanted, _address),
        facets=_facets(wanted, tallies),
        older=_address(wanted, older=found.older) if found.older else "",
        newer=_address(wanted, newer=found.newer) if found.newer else "",
    )


def _refused(request: HttpRequest, text: str, error: str) -> HttpResponse:
    """The page still stands; it says what is wrong and how to get out."""
    return page(
        request,
        "dashboard/transactions.html",
        title="Transactions",
        current="transactions",
        data={"filter": "", "rows": [], "counts": {}, "live": False, "more": False},
        error=error,
        text=text[:FILTER_CHARS],
        facets=_facets(Filter(), {}),
    )


def _cursor(request: HttpRequest, name: str) -> Cursor | None:
    return Cursor.parse(request.GET.get(name, ""))


def _address(wanted: Filter, **query: object) -> str:
    pairs = {"q": str(wanted)} if wanted else {}
    pairs |= {name: str(value) for name, value in query.items()}
    address = reverse("dashboard:transactions")
    return f"{address}?{urlencode(pairs)}" if pairs else address


def _facets(wanted: Filter, tallies: dict[str, int]) -> Sequence[dict[str, Any]]:
    """Quick filters by state, with how many there are."""
    chosen = [term for term in wanted.terms if term.key == "state"]
    whole = sum(tallies.values())
    every = facet(
        "",
        "All",
        "",
        count=capped(whole, COUNT_MAX) if tallies else "",
        current=not chosen,
        address=_address(wanted.with_state(None)),
    )
    states = [
        facet(
            state,
            *WORDS[state][:2],
            count=capped(tallies[state], COUNT_MAX) if tallies else "",
            current=len(chosen) == 1 and chosen[0].values == (state,),
            address=_address(wanted.with_state(state)),
        )
        for state in STATES
    ]
    return [every, *states]
