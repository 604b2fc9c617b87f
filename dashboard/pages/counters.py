"""The list of counters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from dashboard.access import viewer_required
from dashboard.counter_rows import CounterRow, CounterState
from dashboard.filtering import COUNTERS, Term
from dashboard.pages.facets import Facet, Facets
from dashboard.pages.listing import ListPage
from dashboard.queries.counters import LIST
from dashboard.words import COUNTER_STATES as WORDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A row with what only the moment of rendering knows."""

    row: CounterRow
    state: CounterState
    rate: float

    @classmethod
    def at(cls, row: CounterRow, now: int) -> Shown:
        """As it looks now."""
        return cls(row=row, state=row.state_at(now), rate=row.rate_at(now))


def _in_state(state: CounterState) -> Facet:
    word, icon, *_ = WORDS[state]
    return Facet(key=state, word=word, icon=icon, term=Term(key="state", values=(str(state),)))


PAGE: Final = ListPage(
    name="counters",
    title="Counters",
    order="disputed first, then by name",
    narrowed_by="state, name or store",
    grammar=COUNTERS,
    listing=LIST,
    shown=Shown.at,
    facets=Facets(
        every=[
            *map(
                _in_state,
                (
                    CounterState.COUNTING,
                    CounterState.AT_BOUND,
                    CounterState.DISPUTED,
                    CounterState.UNKNOWN,
                    CounterState.STILL,
                ),
            )
        ]
    ),
)


@require_safe
@viewer_required
def counters(request: HttpRequest) -> HttpResponse:
    """Render it."""
    return PAGE.answer(request)
