"""One lock: who holds it, who waits, what became of its grants, and what a person may do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from coordination.exceptions import CoordinationError
from coordination.locks import operations
from coordination.locks.operations import GRACE_S, Shown
from dashboard.access import ASK, FORCE, may_ask, may_force, viewer_required
from dashboard.addresses import lock_address
from dashboard.clock import now_ms
from dashboard.limits import GRANT_ROWS, QUEUE_ROWS, REASON_CHARS, REASON_CHARS_MIN
from dashboard.lock_rows import LockRow
from dashboard.pages.acting import back, reason_mistake
from dashboard.pages.locks import Shown as ShownRow
from dashboard.pages.shell import page
from dashboard.promises import EXCLUSION
from dashboard.queries import locks
from dashboard.queries.verdicts import verdict, violations

_TOKENS_MAX = 10_000
_CONFIRM_DIGITS = 6
NOTHING_DONE = "Nothing was done."
UNKNOWN = (
    "It may have happened or not: ask the store again before you do anything that rests on it."
)


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
    _require(may_ask(request.user), ASK)

    def done(shown: Shown, words: dict[str, str]) -> str:
        count = operations.ask_to_release(shown, **words)
        if not count:
            return "Nobody held it any more: nobody was asked."
        who = "Its holder was asked" if count == 1 else f"{count} holders were asked"
        return f"{who}. In {GRACE_S} s the lease is renewed no more."

    return _acted(request, store, kind, name, done)


@require_POST
@viewer_required
def force(request: HttpRequest, store: str, kind: str, name: str = "") -> HttpResponse:
    """Take it away from its holders."""
    _require(may_force(request.user), FORCE)

    def done(shown: Shown, words: dict[str, str]) -> str:
        tokens = operations.force_release(shown, **words)
        if not tokens:
            return "Nobody held it any more: nothing was taken away."
        said = ", ".join(str(token) for token in tokens)
        return f"Taken away from token {said}. The next grant has a greater one."

    tokens = _tokens(request)
    wanted = str(max(tokens, default=0))[-_CONFIRM_DIGITS:]
    typed = request.POST.get("confirm", "").strip()
    mistake = "" if typed == wanted else f"Type {wanted} to confirm."
    return _acted(request, store, kind, name, done, mistake=mistake)


def _acted(
    request: HttpRequest,
    store: str,
    kind: str,
    name: str,
    done: Callable[[Shown, dict[str, str]], str],
    *,
    mistake: str = "",
) -> HttpResponse:
    name = name or request.GET.get("name", "")
    address = lock_address(store, kind, name)
    reason = request.POST.get("reason", "").strip()
    mistake = mistake or reason_mistake(reason)
    if mistake:
        return back(request, address, mistake, failed=True)
    shown = Shown(kind=kind, name=name, store=store, tokens=_tokens(request))
    words = {"actor": request.user.get_username(), "reason": reason}
    try:
        return back(request, address, done(shown, words))
    except CoordinationError as error:
        return back(request, address, _failed(error), failed=True)


def _failed(error: CoordinationError) -> str:
    """What is known of it after an error: nothing done, or nobody knows."""
    said = str(error)
    rest = UNKNOWN if error.applied is None else NOTHING_DONE
    return said if rest in said else f"{said} {rest}"


def _require(allowed: bool, permission: str) -> None:
    if not allowed:
        raise PermissionDenied(f"This needs the permission {permission}.")


def _tokens(request: HttpRequest) -> frozenset[int]:
    """The tokens the page had shown."""
    texts = request.POST.get("tokens", "").split(",")[:_TOKENS_MAX]
    return frozenset(int(text) for text in texts if text.isdecimal())


def _tokens_text(row: LockRow) -> str:
    return ",".join(str(each.token) for each in row.holders if each.token is not None)


def _offers(request: HttpRequest, row: LockRow) -> dict[str, Any]:
    """What this person may do to it now, and why not what they may not."""
    free = "" if row.holders else "Nobody holds it"
    may = {"ask": may_ask(request.user), "force": may_force(request.user)}
    names = {"ask": ASK, "force": FORCE}
    obstacles = {
        what: free if allowed else f"You need the permission {names[what]}"
        for what, allowed in may.items()
    }
    return {
        "obstacles": obstacles,
        "may_ask": may["ask"],
        "may_force": may["force"],
        "addresses": {
            what: lock_address(row.store, row.kind, row.name, route=f"lock-{what}") for what in may
        },
        "grace_s": GRACE_S,
        "reason_min": REASON_CHARS_MIN,
        "reason_max": REASON_CHARS,
    }
