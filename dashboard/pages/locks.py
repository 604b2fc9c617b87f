"""The list of locks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from dashboard.access import viewer_required
from dashboard.filtering import LOCKS, Term
from dashboard.lock_rows import LockRow, LockState
from dashboard.pages.facets import Facet, Facets
from dashboard.pages.listing import ListPage
from dashboard.queries.locks import LIST, QUEUED
from dashboard.words import LOCK_STATES as WORDS


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


def _in_state(state: LockState) -> Facet:
    word, icon, *_ = WORDS[state]
    return Facet(key=state, word=word, icon=icon, term=Term(key="state", values=(str(state),)))


_WITH_A_QUEUE: Final = Facet(
    key=QUEUED,
    word="With a queue",
    icon="glass",
    term=Term(key="queue", values=(">0",)),
    beside=True,
)

PAGE: Final = ListPage(
    name="locks",
    title="Locks",
    order="disputed first, then the longest queue, then by name",
    narrowed_by="state, name or store",
    grammar=LOCKS,
    listing=LIST,
    shown=Shown.at,
    facets=Facets(
        every=[
            _in_state(LockState.HELD),
            _WITH_A_QUEUE,
            *map(
                _in_state,
                (
                    LockState.ENDING,
                    LockState.RAN_OUT,
                    LockState.DISPUTED,
                    LockState.UNKNOWN,
                    LockState.FREE,
                ),
            ),
        ]
    ),
)


@require_safe
@viewer_required
def locks(request: HttpRequest) -> HttpResponse:
    """Render it."""
    return PAGE.answer(request)
