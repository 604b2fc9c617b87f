"""Who waits for whom: the graph of now, its cycles, and past deadlocks."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from dashboard.access import viewer_required
from dashboard.pages.shell import page
from dashboard.queries.bounds import TooSlowError
from dashboard.queries.waits import Waits, read

_NONE = Waits(edges=(), cycles=(), behind=frozenset(), total=0, locks=0, deadlocks=())


@require_safe
@viewer_required
def waits(request: HttpRequest) -> HttpResponse:
    """Render it; the socket keeps it."""
    error = ""
    try:
        found = read()
    except TooSlowError as slow:
        found, error = _NONE, str(slow)
    return page(
        request,
        "dashboard/waits.html",
        title="Wait-for",
        current="waits",
        data={"waits": found.wire()},
        found=found,
        error=error,
        sentence=sentence(found),
    )


def sentence(found: Waits) -> str:
    """What is true of the waits now; `waits.js` says the same."""
    if found.cycles:
        count = len(found.cycles[0].edges)
        who = "One waits for itself" if count == 1 else f"{count} wait for each other"
        more = len(found.cycles) - 1
        others = (
            f", and there {'is' if more == 1 else 'are'} {more} more such cycle" if more else ""
        )
        return f"{who}: none of them can go on{others}{'s' if more > 1 else ''}."
    if found.total:
        names = "one lock" if found.locks == 1 else f"{found.locks} locks"
        return f"{found.total} {'wait' if found.total == 1 else 'waits'} on {names}; no cycle."
    return "Nobody waits for anybody."
