"""The list of queues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from dashboard.access import viewer_required
from dashboard.filtering import QUEUES, Term
from dashboard.pages.facets import Facet, Facets
from dashboard.pages.listing import ListPage
from dashboard.queries.queues import LIST
from dashboard.queue_rows import BUCKET_MS, QueueRow, QueueState
from dashboard.words import QUEUE_STATES as WORDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A row with what only the moment of rendering knows."""

    row: QueueRow
    state: QueueState
    oldest_ms: int | None
    """How long its first ready message has waited."""
    came: float | None
    acked: float | None
    """Messages a second, in the last bucket; None: not known."""

    @classmethod
    def at(cls, row: QueueRow, now: int) -> Shown:
        """As it looks now."""
        age = None if row.oldest_ms is None else max(0, now - row.oldest_ms)
        return cls(
            row=row,
            state=row.state_at(now),
            oldest_ms=age,
            came=_rate(row.came),
            acked=_rate(row.acked),
        )


def _rate(counts: tuple[int | None, ...]) -> float | None:
    last = counts[-1] if counts else None
    return None if last is None else last * 1000 / BUCKET_MS


def _in_state(state: QueueState) -> Facet:
    word, icon, *_ = WORDS[state]
    return Facet(key=state, word=word, icon=icon, term=Term(key="state", values=(str(state),)))


PAGE: Final[ListPage[Any, Any]] = ListPage(
    name="queues",
    title="Queues",
    order="what needs somebody first, then by name",
    narrowed_by="state, name or store",
    grammar=QUEUES,
    listing=LIST,
    shown=Shown.at,
    facets=Facets(
        every=[
            *map(
                _in_state,
                (
                    QueueState.FLOWING,
                    QueueState.BACKING_UP,
                    QueueState.PAUSED,
                    QueueState.DEAD,
                    QueueState.IDLE,
                    QueueState.LETTERS,
                    QueueState.DISPUTED,
                    QueueState.UNKNOWN,
                ),
            ),
        ]
    ),
)


@require_safe
@viewer_required
def queues(request: HttpRequest) -> HttpResponse:
    """Render it."""
    return PAGE.answer(request)
