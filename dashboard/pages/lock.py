"""One lock: who holds it, who waits, what became of its grants, and what a person may do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from coordination.locks import operations
from coordination.locks.operations import GRACE_S, Shown
from dashboard.access import ASK, FORCE, viewer_required
from dashboard.addresses import lock_address
from dashboard.clock import now_ms
from dashboard.limits import GRANT_ROWS, QUEUE_ROWS
from dashboard.lock_rows import LockRow
from dashboard.pages.acting import actor, answered, back, mistake, obstacle, reason
from dashboard.pages.locks import Shown as ShownRow
from dashboard.pages.shell import page
from dashboard.promises import EXCLUSION
from dashboard.queries import locks
from dashboard.queries.verdicts import verdict, violations

_TOKENS_MAX = 10_000
_CONFIRM_DIGITS = 6


@require_safe
@viewer_required
def lock(request: HttpRequest, store: str, kind: str, name: str = "") -> HttpResponse:
    """Render it; the socket brings every change."""
    name = name or request.GET.get("name", "")
    key = f"{store} {kind} {name}"
    row = locks.one(key) if key.isprintable() else None
    if row is None:
        raise Http404(f"No {kind} {name} on {store} is known here.")
    now = now_ms()
    grants, refusals = locks.grants(key), locks.refusals(key)
    shown = row.wire_full()
    return page(
        request,
        "dashboard/lock.html",
        title=name,
        current="locks",
        crumbs=[("Locks", reverse("dashboard:locks"))],
        data={
            "key": key,
            "row": shown,
            "grants": [grant.wire() for grant in grants],
            "refusals": [refusal.wire() for refusal in refusals],
            "queue_rows": QUEUE_ROWS,
            "grant_rows": GRANT_ROWS,
        },
        row=row,
        item=ShownRow.at(row, now),
        mode=row.first.mode if row.first else "nobody asks",
        queue=row.waiters[:QUEUE_ROWS],
        past=[(grant, grant.how_at(now), grant.held_ms(now)) for grant in grants],
        refusals=refusals,
        verdict=verdict(EXCLUSION),
        verdict_state=verdict(EXCLUSION).state_at(now),
        violations=violations(EXCLUSION, gid=key),
        tokens=_tokens_text(row),
        **_offers(request, row),
    )


@require_POST
@viewer_required
def ask(request: HttpRequest, store: str, kind: str, name: str = "") -> HttpResponse:
    """Ask its holders to give it back."""
    who, shown = actor(request, ASK), _shown(request, store, kind, name)

    def act() -> str:
        count = operations.ask_to_release(shown, actor=who, reason=reason(request))
        if not count:
            return "Nobody held it any more: nobody was asked."
        asked = "Its holder was asked" if count == 1 else f"{count} holders were asked"
        return f"{asked}. In {GRACE_S} s the lease is renewed no more."

    return _acted(request, shown, act, mistake(request))


@require_POST
@viewer_required
def force(request: HttpRequest, store: str, kind: str, name: str = "") -> HttpResponse:
    """Take it away from its holders."""
    who, shown = actor(request, FORCE), _shown(request, store, kind, name)

    def act() -> str:
        tokens = operations.force_release(shown, actor=who, reason=reason(request))
        if not tokens:
            return "Nobody held it any more: nothing was taken away."
        said = ", ".join(str(token) for token in tokens)
        return f"Taken away from token {said}. The next grant has a greater one."

    wanted = str(max(shown.tokens, default=0))[-_CONFIRM_DIGITS:]
    return _acted(request, shown, act, mistake(request, confirm=wanted))


def _acted(request: HttpRequest, shown: Shown, act: Callable[[], str], wrong: str) -> HttpResponse:
    address = lock_address(shown.store, shown.kind, shown.name)
    if wrong:
        return back(request, address, wrong, failed=True)
    return answered(request, address, act)


def _shown(request: HttpRequest, store: str, kind: str, name: str) -> Shown:
    """The lock of this address with the tokens that the page had shown."""
    name = name or request.GET.get("name", "")
    return Shown(kind=kind, name=name, store=store, tokens=_tokens(request))


def _tokens(request: HttpRequest) -> frozenset[int]:
    """The tokens the page had shown."""
    texts = request.POST.get("tokens", "").split(",")[:_TOKENS_MAX]
    return frozenset(int(text) for text in texts if text.isdecimal())


def _tokens_text(row: LockRow) -> str:
    return ",".join(str(each.token) for each in row.holders if each.token is not None)


def _offers(request: HttpRequest, row: LockRow) -> dict[str, Any]:
    """What this person may do to it now, and why not what they may not."""
    free = "" if row.holders else "Nobody holds it"
    return {
        "obstacles": {
            "ask": obstacle(request, ASK, free),
            "force": obstacle(request, FORCE, free),
        },
        "may_ask": ASK.of(request.user),
        "may_force": FORCE.of(request.user),
        "addresses": {
            what: lock_address(row.store, row.kind, row.name, route=f"lock-{what}")
            for what in ("ask", "force")
        },
        "grace_s": GRACE_S,
    }
