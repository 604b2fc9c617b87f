"""A verdict's evidence: what was checked, in which databases, and every violation with its rows."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from coordination.observing.types import VerdictState
from coordination.observing.verdicts import acknowledge as acknowledge_violations
from dashboard.access import RESOLVE, viewer_required
from dashboard.clock import now_ms
from dashboard.limits import VIOLATION_ROWS
from dashboard.pages.acting import actor, answered, back, mistake, obstacle, reason
from dashboard.pages.shell import page
from dashboard.promises import ATOMICITY, PROMISES
from dashboard.queries.verdicts import VerdictRow, verdict, verdicts, violations
from dashboard.texts import duration
from dashboard.words import VERDICTS


@require_safe
@viewer_required
def show(request: HttpRequest, name: str) -> HttpResponse:
    """Render one verdict."""
    if name not in PROMISES:
        raise Http404(f"There is no verdict {name}.")
    record, found, now = verdict(name), violations(name), now_ms()
    state = record.state_at(now)
    return page(
        request,
        "dashboard/verdict.html",
        title=record.title,
        current="verdicts",
        data={
            "verdict": record.wire() | {"evidence": record.evidence},
            "violations": [row.wire() for row in found],
        },
        record=record,
        state=state,
        hue=VERDICTS[state][1],
        sentence=sentence(record, state, now),
        violations=found,
        databases=_databases(record),
        unaudited=record.evidence.get("unaudited"),
        unseen=record.evidence.get("unseen_branches"),
        in_doubt=record.evidence.get("in_doubt", []),
        in_doubt_total=record.evidence.get("in_doubt_total", 0),
        promise=PROMISES[name],
        of_events=name != ATOMICITY,
        facts=_facts(record),
        others=[row for row in verdicts() if row.name != name],
        open_ids=[row.pk for row in found if row.acknowledged_ms is None],
        obstacle=obstacle(request, RESOLVE),
    )


@require_POST
@viewer_required
def acknowledge(request: HttpRequest, name: str) -> HttpResponse:
    """Close the violations this person was shown; later ones stay open."""
    who = actor(request, RESOLVE)
    address = reverse("dashboard:verdict", args=[name])
    shown = request.POST.get("violations", "")
    ids = [int(text) for text in shown.split(",") if text.isdecimal()][:VIOLATION_ROWS]
    wrong = mistake(request)
    if wrong:
        return back(request, address, wrong, failed=True)

    def act() -> str:
        count = acknowledge_violations(ids, actor=who, reason=reason(request))
        return f"Acknowledged: {count}. The verdict follows in a moment."

    return answered(request, address, act)


def sentence(record: VerdictRow, state: VerdictState, now: int) -> str:
    """What the verdict says, in one sentence."""
    words = PROMISES[record.name]
    if state is VerdictState.VIOLATED:
        many = "violation is" if record.violations == 1 else "violations are"
        return f"{record.violations} {many} open among {record.checked:,} {words.counted}."
    if state is VerdictState.HOLDS:
        return f"All {record.checked:,} {words.checked}."
    if state is VerdictState.CHECKING:
        return f"The auditor is catching up: {record.reason}."
    if record.checked_ms is not None and now - record.checked_ms > 2 * record.period_ms:
        return f"The auditor has been silent for {duration(now - record.checked_ms)}."
    return f"Nothing can be said: {record.reason}."


def _facts(record: VerdictRow) -> list[tuple[str, Any]]:
    """The plain figures of the evidence, under their own names, in words."""
    return [
        (name.replace("_", " ").capitalize(), f"{value:,}" if isinstance(value, int) else value)
        for name, value in record.evidence.items()
        if isinstance(value, int | float | str)
    ]


def _databases(record: VerdictRow) -> list[dict[str, Any]]:
    databases = record.evidence.get("databases", {})
    return [{"alias": alias, **about} for alias, about in sorted(databases.items())]
