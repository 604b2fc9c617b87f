"""The list of locks: its filter stands in the address, its first page is live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_safe

from dashboard.access import viewer_required
from dashboard.clock import now_ms
from dashboard.filtering import LOCKS, Filter, FilterError, Term, parse
from dashboard.limits import FILTER_CHARS
from dashboard.lock_rows import LockRow, LockState
from dashboard.pages.facets import chips, facet
from dashboard.pages.shell import page
from dashboard.queries.bounds import TooSlowError
from dashboard.queries.locks import QUEUED, Cursor, Page, counts
from dashboard.queries.locks import page as read_page
from dashboard.texts import number
from dashboard.words import LOCK_STATES as WORDS

_FACETS: Final = (
    LockState.HELD,
    QUEUED,
    LockState.ENDING,
    LockState.RAN_OUT,
    LockState.DISPUTED,
    LockState.UNKNOWN,
    LockState.FREE,
)
_QUEUED: Final = Term(key="queue", values=(">0",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A row with what only the moment of rendering knows."""

    row: LockRow
    state: LockState
    left_ms: int
    share: int
    """Of the lease, per cent."""

    @classmethod
    def at(cls, row: LockRow, now: int) -> Shown:
        """As it looks now."""
        left_ms = max(0, (row.until_ms or now) - now)
        lease_ms = row.lease_ms or left_ms
        share = min(100, round(100 * left_ms / lease_ms)) if lease_ms else 0
        return cls(row=row, state=row.state_at(now), left_ms=left_ms, share=share)


@require_safe
@viewer_required
def locks(request: HttpRequest) -> HttpResponse:
    """Render the list; `q` the filter, `add` one more term, `older`/`newer` a cursor."""
    text, added = request.GET.get("q", "").strip(), request.GET.get("add", "").strip()
    try:
        wanted = parse(f"{text} {added}".strip(), LOCKS)
    except FilterError as error:
        return _refused(request, f"{text} {added}".strip(), str(error))
    if "add" in request.GET:
        return HttpResponseRedirect(_address(wanted))
    now = now_ms()
    older, newer = _cursor(request, "older"), _cursor(request, "newer")
    try:
        found, tallies = read_page(wanted, now_ms=now, older=older, newer=newer), counts(now)
    except TooSlowError as error:
        return _refused(request, str(wanted), f"{error} Narrow it by state, name or store.")
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
    return page(
        request,
        "dashboard/locks.html",
        title="Locks",
        current="locks",
        data={
            "filter": str(wanted),
            "rows": [row.wire() for row in found.rows],
            "counts": tallies,
            "live": live,
            "more": found.older is not None,
        },
        rows=[Shown.at(row, now) for row in found.rows],
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
        "dashboard/locks.html",
        title="Locks",
        current="locks",
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
    address = reverse("dashboard:locks")
    return f"{address}?{urlencode(pairs)}" if pairs else address


def _facets(wanted: Filter, tallies: dict[str, int]) -> Sequence[dict[str, Any]]:
    """Quick filters by state and by queue, with how many there are."""
    chosen = tuple(term for term in wanted.terms if term.key in {"state", "queue"})
    rest = Filter(terms=tuple(term for term in wanted.terms if term not in chosen))
    whole = sum(count for state, count in tallies.items() if state != QUEUED)
    found = [
        facet(
            "",
            "All",
            "",
            count=number(whole) if tallies else "",
            current=not chosen,
            address=_address(rest),
        )
    ]
    for key in _FACETS:
        word, icon = ("With a queue", "glass") if key == QUEUED else WORDS[key][:2]
        term = _QUEUED if key == QUEUED else Term(key="state", values=(str(key),))
        found.append(
            facet(
                str(key),
                word,
                icon,
                count=number(tallies[key]) if tallies else "",
                current=chosen == (term,) or [str(each) for each in chosen] == [str(term)],
                address=_address(Filter(terms=(term, *rest.terms))),
            )
        )
    return found
