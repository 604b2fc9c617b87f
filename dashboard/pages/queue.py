"""One queue: how it stands and flows, who works on what, what died, what a person may do."""

from __future__ import annotations

import secrets
from typing import Any, Final

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from coordination.exceptions import CoordinationError
from coordination.queues import operations
from coordination.queues.operations import Place
from coordination.queues.types import Capability
from dashboard.access import PAUSE, PURGE, viewer_required
from dashboard.addresses import queue_address
from dashboard.clock import now_ms
from dashboard.pages.acting import obstacle
from dashboard.pages.queues import Shown
from dashboard.pages.shell import page
from dashboard.promises import BALANCE
from dashboard.queries import queue as query
from dashboard.queries.bounds import TooSlowError
from dashboard.queries.queue import QueueFound
from dashboard.queries.verdicts import verdict, violations
from dashboard.queue_rows import CAME, WENT, QueueRow

DEEDS: Final = ("pause", "resume", "redrive", "purge", "move", "go-on", "stop")
# Total → its words on the balance sheet.
_WORDS: Final = {
    "published": "Published",
    "moved_in": "Moved in",
    "redriven": "Redriven",
    "acked": "Acked",
    "died": "Died",
    "expired": "Expired",
    "purged": "Purged",
    "moved_out": "Moved away",
}


@require_safe
@viewer_required
def queue(request: HttpRequest, store: str, name: str = "") -> HttpResponse:
    """Render it; the socket brings every change."""
    name = name or request.GET.get("name", "")
    key = f"{store} {name}"
    now = now_ms()
    try:
        found = query.read(key, now) if key.isprintable() else None
    except TooSlowError as error:
        raise Http404(f"{error} Try again.") from error
    if found is None:
        raise Http404(f"No queue {name} on {store} is known here.")
    row = found.row
    return page(
        request,
        "dashboard/queue.html",
        title=name,
        current="queues",
        crumbs=[("Queues", reverse("dashboard:queues"))],
        data={
            "key": key,
            "row": row.wire_full(),
            "able": able(row),
            **found.past.wire(),
        },
        row=row,
        item=Shown.at(row, now),
        found=found,
        sheet=sheet(row),
        verdict_state=verdict(BALANCE).state_at(now),
        violations=violations(BALANCE, gid=key),
        letters_address=_letters_address(row),
        **_offers(request, found),
    )


def able(row: QueueRow) -> dict[str, str]:
    """What its store cannot do → why, in words; empty for what it can."""
    try:
        capabilities = operations.able(Place(store=row.store, name=row.name))
    except CoordinationError as error:
        said = str(error)
        return dict.fromkeys(("pause", "move", "frozen", "redrive", "purge"), said)
    cannot = f"Store {row.store} cannot do that"
    return {
        "pause": "" if Capability.PAUSE in capabilities else cannot,
        "move": "" if Capability.MOVE in capabilities else cannot,
        "frozen": "" if Capability.FROZEN in capabilities else cannot,
        "redrive": "",
        "purge": "",
    }


def sheet(row: QueueRow) -> dict[str, Any] | None:
    """The balance: what came, what went, what is here, and what is missing; None: not counted."""
    totals = row.totals
    if totals is None:
        return None
    went = [(_WORDS[word], totals[word]) for word in WENT if totals[word] or word == "acked"]
    here = [("Ready", row.ready), ("Delayed", row.delayed), ("In flight", row.in_flight)]
    came = [(_WORDS[word], totals[word]) for word in CAME if totals[word] or word == "published"]
    return {
        "went": went + here,
        "accounted": sum(count for _, count in went + here),
        "came": came,
        "missing": row.missing,
    }


def _letters_address(row: QueueRow) -> str:
    return queue_address(row.store, row.dead_letter) if row.dead_letter else ""


def _offers(request: HttpRequest, found: QueueFound) -> dict[str, Any]:
    """What this person may do to it now, and why not what they may not."""
    row, cannot = found.row, able(found.row)
    waiting = row.ready + row.delayed
    empty = "" if waiting else "Nothing waits in it"
    none_dead = "" if row.dead else "It has no dead letters"
    return {
        "waiting": waiting,
        "obstacles": {
            "pause": obstacle(request, PAUSE, cannot["pause"]),
            "redrive": obstacle(request, PAUSE, cannot["redrive"] or none_dead),
            "move": obstacle(request, PAUSE, cannot["move"] or empty),
            "purge": obstacle(request, PURGE, cannot["purge"] or empty),
        },
        "may_pause": PAUSE.of(request.user),
        "may_purge": PURGE.of(request.user),
        "addresses": {
            deed.replace("-", "_"): queue_address(row.store, row.name, route=f"queue-{deed}")
            for deed in DEEDS
        },
        "frozen": not cannot["frozen"],
        "op": secrets.token_hex(12),
    }
