"""The overview: what is true now, on what evidence, and what needs somebody."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from coordination.observing.types import VerdictState
from dashboard.access import viewer_required
from dashboard.clock import now_ms
from dashboard.limits import FEED_LINES
from dashboard.pages.shell import page
from dashboard.promises import PROMISES
from dashboard.queries import history
from dashboard.queries.overview import BUCKET_MS, Overview, read
from dashboard.queries.verdicts import worst
from dashboard.words import HEADLINES, VERDICTS

_RECENT_BUCKETS = 2


@require_safe
@viewer_required
def overview(request: HttpRequest) -> HttpResponse:
    """Render it; from then on the socket keeps it."""
    now = now_ms()
    found = read(now)
    events = [event.brief().wire() for event in history.latest(FEED_LINES)]
    state = worst(found.verdicts, now)
    return page(
        request,
        "dashboard/overview.html",
        title="Overview",
        current="overview",
        data={"overview": found.wire(), "events": events},
        found=found,
        state=state,
        tiles=[
            (row, shown, VERDICTS[shown][1])
            for row in found.verdicts
            for shown in [row.state_at(now)]
        ],
        headline=HEADLINES[state],
        summary=summary(found, state, now),
        stats=_stats(found),
    )


def summary(found: Overview, state: VerdictState, now: int) -> str:
    """One sentence under the headline."""
    ended = sum(rate.committed + rate.aborted for rate in found.rates)
    doubt = "none in doubt" if not found.doubt.count else f"{found.doubt.count} in doubt"
    first = f"{ended:,} transactions decided in the last 5 minutes, {doubt}."
    if state is VerdictState.VIOLATED:
        names = [PROMISES[row.name].of for row in found.verdicts if row.state_at(now) is state]
        return f"{found.broken} open violations of {' and '.join(names)}. {first}"
    reasons = (row.reason for row in found.verdicts if row.state_at(now) is state and row.reason)
    return f"{first} {next(reasons, '')}".strip()


def _stats(found: Overview) -> dict[str, float | None]:
    """Per second over the last two buckets that are over, and the mean time to a decision."""
    recent = found.rates[-_RECENT_BUCKETS:]
    seconds = len(recent) * BUCKET_MS / 1000
    decided = sum(rate.committed + rate.aborted for rate in recent)
    spent_ms = sum(rate.decide_ms_sum for rate in recent)
    return {
        "begun": sum(rate.begun for rate in recent) / seconds,
        "committed": sum(rate.committed for rate in recent) / seconds,
        "aborted": sum(rate.aborted for rate in recent) / seconds,
        "decide_ms": spent_ms / decided if decided else None,
    }
