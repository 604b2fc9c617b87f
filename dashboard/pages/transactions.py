"""The list of transactions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from dashboard.access import viewer_required
from dashboard.filtering import STATES, TRANSACTIONS, Term
from dashboard.limits import COUNT_MAX
from dashboard.pages.facets import Facet, Facets
from dashboard.pages.listing import ListPage
from dashboard.queries.transactions import LIST
from dashboard.rows import DisplayState, TransactionRow
from dashboard.words import STATES as WORDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A row with what only the moment of rendering knows."""

    row: TransactionRow
    state: DisplayState
    age_ms: int

    @classmethod
    def at(cls, row: TransactionRow, now: int) -> Shown:
        """As it looks now."""
        return cls(row=row, state=row.state_at(now), age_ms=row.age_ms(now))

    @property
    def doubt(self) -> bool:
        """Whether its diamond is amber."""
        return self.state is DisplayState.IN_DOUBT


PAGE: Final = ListPage(
    name="transactions",
    title="Transactions",
    order="unfinished first, then newest",
    narrowed_by="state, name or age",
    grammar=TRANSACTIONS,
    listing=LIST,
    shown=Shown.at,
    facets=Facets(
        every=[
            Facet(key=key, word=word, icon=icon, term=Term(key="state", values=(key,)))
            for key, (word, icon, *_) in ((key, WORDS[key]) for key in STATES)
        ],
        count_max=COUNT_MAX,
    ),
)


@require_safe
@viewer_required
def transactions(request: HttpRequest) -> HttpResponse:
    """Render it."""
    return PAGE.answer(request)
