"""One transaction: what it waits for, its timeline, its branches, and what a person may do."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from coordination.connections.database import StatementRefused
from coordination.exceptions import CoordinationError
from coordination.intervening.failures import told
from coordination.transactions import operations, situations
from coordination.transactions.explaining import Explanation
from dashboard.access import RESOLVE, viewer_required
from dashboard.clock import now_ms
from dashboard.events import EventRow
from dashboard.limits import PAYLOAD_CHARS
from dashboard.pages.acting import actor, answered, back, mistake, obstacle, reason
from dashboard.pages.shell import page
from dashboard.promises import ATOMICITY
from dashboard.queries import history
from dashboard.queries.transactions import one
from dashboard.queries.verdicts import violations
from dashboard.rows import TransactionRow

_CONFIRM_CHARS = 6
_OUTCOMES = frozenset({"committed", "aborted"})


@require_safe
@viewer_required
def transaction(request: HttpRequest, gid: str) -> HttpResponse:
    """Render it; the socket brings every further event."""
    row, events = one(gid), history.of_transaction(gid)
    if row is None:
        raise Http404(f"No transaction {gid} is known here.")
    now = now_ms()
    return page(
        request,
        "dashboard/transaction.html",
        title=gid[-_CONFIRM_CHARS:],
        current="transactions",
        crumbs=[("Transactions", reverse("dashboard:transactions"))],
        data={
            "gid": gid,
            "row": row.wire_full(),
            "events": [event.wire() for event in events],
            "payload_chars": PAYLOAD_CHARS,
            "export": reverse("dashboard:transaction-events", args=[gid]),
        },
        row=row,
        state=row.state_at(now),
        age_ms=row.age_ms(now),
        applied=sum(branch.actual is not None for branch in row.branches),
        violations=violations(ATOMICITY, gid=gid),
        explanation=_explanation(row),
        obstacles={
            "act": obstacle(request, RESOLVE),
            "retry": obstacle(
                request, RESOLVE, "It has ended: nothing to send" if row.ended_ms else ""
            ),
            "resolve": obstacle(
                request, RESOLVE, "Already decided: nothing to resolve" if row.outcome else ""
            ),
        },
        commit_obstacle=_commit_obstacle(row),
    )


@require_safe
@viewer_required
def events(request: HttpRequest, gid: str) -> HttpResponse:
    """The recorded events as a file."""
    found: tuple[EventRow, ...] = history.of_transaction(gid)
    if not found:
        raise Http404(f"No transaction {gid} is known here.")
    answer = JsonResponse({"gid": gid, "events": [event.wire() for event in found]})
    answer["Content-Disposition"] = f'attachment; filename="{gid}.json"'
    return answer


@require_POST
@viewer_required
def retry(request: HttpRequest, gid: str) -> HttpResponse:
    """Send again, now, what the transaction waits for; safe to repeat."""
    who = actor(request, RESOLVE)

    def act() -> str:
        count = operations.retry_now([gid], actor=who, reason="retried from the dashboard")
        return "Sent again." if count else "It has ended: nothing to send."

    return answered(request, _page(gid), act)


@require_POST
@viewer_required
def resolve(request: HttpRequest, gid: str) -> HttpResponse:
    """Decide a transaction in doubt by this person's word, through the register."""
    who = actor(request, RESOLVE)
    outcome = request.POST.get("outcome", "")
    wrong = "Choose commit or abort." if outcome not in _OUTCOMES else ""
    wrong = wrong or mistake(request, confirm=gid[-_CONFIRM_CHARS:])
    if wrong:
        return back(request, _page(gid), wrong, failed=True)
    try:
        result = operations.resolve(gid, outcome=outcome, actor=who, reason=reason(request))
    except CoordinationError as error:
        return back(request, _page(gid), told(error), failed=True)
    if result.outcome != outcome:
        said = f"The register already said {result.outcome}; nothing was changed."
        return back(request, _page(gid), said, failed=True)
    return back(request, _page(gid), f"Resolved: {result.outcome}.")


@require_POST
@viewer_required
def retry_all(request: HttpRequest, gid: str) -> HttpResponse:
    """After an outage: send again what every transaction waits for; back to the one looked at."""
    who = actor(request, RESOLVE)

    def act() -> str:
        count = operations.retry_all_now(actor=who, reason="retried all from the dashboard")
        return f"Sent again: {count}." if count else "Nothing waits."

    return answered(request, _page(gid), act)


@require_POST
@viewer_required
def acknowledge(request: HttpRequest, gid: str) -> HttpResponse:
    """Say that what ended otherwise than decided was put right."""
    who = actor(request, RESOLVE)
    wrong = mistake(request)
    if wrong:
        return back(request, _page(gid), wrong, failed=True)

    def act() -> str:
        count = operations.acknowledge(gid, actor=who, reason=reason(request))
        return f"Acknowledged: {count}."

    return answered(request, _page(gid), act)


def _explanation(row: TransactionRow) -> Explanation | None:
    """Why it is where it is, by its rows; None: nothing is due, or nobody can tell now."""
    if row.ended_ms and not row.heuristic:
        return None
    try:
        found = situations.explained(row.gid)
    except (CoordinationError, StatementRefused):
        return None
    return found if found.next else None


def _page(gid: str) -> str:
    return reverse("dashboard:transaction", args=[gid])


def _commit_obstacle(row: TransactionRow) -> str:
    missing = sum(b.vote is None and b.form != "forward" for b in row.branches)
    refused = [branch.participant for branch in row.branches if branch.vote == "no"]
    if refused:
        return f"Not offered: {refused[0]} voted no."
    if missing:
        return f"Not offered: {missing} of {len(row.branches)} votes missing."
    return ""
