"""One message: its life in every queue it was in, its body, and what a person may do to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from coordination.exceptions import CoordinationError
from coordination.queues import operations
from coordination.queues.life import MessageState
from coordination.queues.operations import Place
from coordination.queues.types import Seen
from dashboard.access import PAUSE, PURGE, Right, View, viewer_required
from dashboard.addresses import message_address, queue_address
from dashboard.limits import BODY_CHARS
from dashboard.message_rows import MessageRow
from dashboard.pages.acting import actor, answered, back, mistake, obstacle, reason
from dashboard.pages.shell import page
from dashboard.queries import queue as query
from dashboard.rows import epoch_ms

_HERE: Final = {MessageState.WAITING, MessageState.IN_FLIGHT}
_GONE: Final = "It was not there any more, or somebody had taken it: nothing was done."


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What its store says of a message now."""

    text: str = ""
    headers: str = ""
    state: str = ""
    cut: bool = False
    error: str = ""
    """Why there is none: the store is silent, or cannot be asked."""


@require_safe
@viewer_required
def message(request: HttpRequest, store: str, message_id: str) -> HttpResponse:
    """Render it. Its body is asked of the store, its life comes from the records."""
    places = query.message(store, message_id)
    if not places:
        raise Http404(f"No message {message_id} on {store} is known here.")
    last = current(places)
    return page(
        request,
        "dashboard/message.html",
        title=message_id,
        current="queues",
        crumbs=[
            ("Queues", reverse("dashboard:queues")),
            (last.queue, queue_address(store, last.queue)),
        ],
        data={},
        message=last,
        places=places,
        life=life(places),
        attempts=max(each.attempts for each in places),
        body=body(last),
        **_offers(request, last),
    )


def current(places: tuple[MessageRow, ...]) -> MessageRow:
    """Where it is, or else where it was last."""
    here = [each for each in places if each.state in _HERE]
    return max(here or places, key=lambda each: each.changed_ms)


def life(places: tuple[MessageRow, ...]) -> list[dict[str, Any]]:
    """What became of it, in the order in which it happened, each with the queue it was in."""
    steps = [
        {**step, "queue": each.queue, "at_ms": epoch_ms(step.get("at")) or 0}
        for each in places
        for step in each.life
    ]
    return sorted(steps, key=lambda step: (step["at_ms"], step.get("event") or 0))


def body(row: MessageRow) -> Body:
    """Its body as its store has it, when it is still there."""
    if row.state not in _HERE:
        return Body(error="It is gone, and its body with it.")
    try:
        seen = operations.find(Place(store=row.store, name=row.queue), row.message)
    except CoordinationError as error:
        return Body(error=str(error))
    if seen is None:
        return Body(error="It is not among the first 1,000 of its queue, or it is gone by now.")
    return _shown(seen)


def _shown(seen: Seen) -> Body:
    text = json.dumps(seen.body, ensure_ascii=False, indent=2)
    return Body(
        text=text[:BODY_CHARS],
        headers=json.dumps(dict(seen.headers), ensure_ascii=False) if seen.headers else "",
        state=seen.state,
        cut=len(text) > BODY_CHARS,
    )


def _offers(request: HttpRequest, row: MessageRow) -> dict[str, Any]:
    taken = "Somebody has taken it" if row.state == MessageState.IN_FLIGHT else ""
    not_here = taken or ("" if row.state in _HERE else "It is not in a queue any more")
    not_dead = not_here or ("" if row.source else "It did not die")
    return {
        "obstacles": {
            "requeue": obstacle(request, PAUSE, not_dead),
            "transfer": obstacle(request, PAUSE, not_here),
            "discard": obstacle(request, PURGE, not_here),
        },
        "may_pause": PAUSE.of(request.user),
        "may_purge": PURGE.of(request.user),
        "addresses": {
            deed: message_address(row.store, row.message, route=f"message-{deed}")
            for deed in ("requeue", "transfer", "discard")
        },
    }


# Acting


def requeue(request: HttpRequest, row: MessageRow, who: str) -> str:
    """Give a dead letter another chance in the queue it died in."""
    place = Place(store=row.store, name=row.source)
    if not operations.requeue(place, row.message, actor=who, reason=reason(request)):
        return _GONE
    return f"It is back in {row.source}; its attempts begin anew."


def transfer(request: HttpRequest, row: MessageRow, who: str) -> str:
    """Move it to another queue of its store."""
    place, to = Place(store=row.store, name=row.queue), request.POST.get("to", "").strip()
    if not operations.move(place, row.message, to=to, actor=who, reason=reason(request)):
        return _GONE
    return f"Moved to {to}; its attempts begin anew."


def discard(request: HttpRequest, row: MessageRow, who: str) -> str:
    """Throw it away."""
    place = Place(store=row.store, name=row.queue)
    if not operations.discard(place, row.message, actor=who, reason=reason(request)):
        return _GONE
    return "Thrown away."


def acting(right: Right, act: Callable[[HttpRequest, MessageRow, str], str]) -> View[...]:
    """A view that acts on the message where it was shown to be."""

    @require_POST
    @viewer_required
    def view(request: HttpRequest, store: str, message_id: str) -> HttpResponse:
        who = actor(request, right)
        address = message_address(store, message_id)
        shown = [
            row
            for row in query.message(store, message_id)
            if row.queue == request.POST.get("queue", "")
        ]
        if not shown:
            raise Http404(f"No message {message_id} on {store} is known here.")
        wrong = mistake(request)
        if wrong:
            return back(request, address, wrong, failed=True)
        return answered(request, address, lambda: act(request, shown[0], who))

    return view


REQUEUE: Final = acting(PAUSE, requeue)
TRANSFER: Final = acting(PAUSE, transfer)
DISCARD: Final = acting(PURGE, discard)
