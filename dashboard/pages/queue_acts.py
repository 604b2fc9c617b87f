"""What a person may do to a queue from its page: each by POST, with a right and a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Concatenate, Final, ParamSpec

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from coordination.queues import operations
from coordination.queues.operations import Order, Place
from coordination.queues.sweeps.tables import QueueSweep, SweepState, Verb
from dashboard.access import PAUSE, PURGE, Right, View, viewer_required
from dashboard.addresses import queue_address
from dashboard.pages.acting import actor, answered, back, mistake, reason
from dashboard.texts import number

CONFIRM_DIGITS: Final = 6
_DONE: Final = {Verb.REDRIVE: "redriven", Verb.PURGE: "purged", Verb.MOVE: "moved"}
_COUNT_DIGITS: Final = 15

_Rest = ParamSpec("_Rest")
Act = Callable[Concatenate[HttpRequest, Place, str, _Rest], str]


def pause(request: HttpRequest, place: Place, who: str) -> str:
    """Refuse publications, give out no messages, or both."""
    publishing, consuming = (request.POST.get(word) == "1" for word in ("publishing", "consuming"))
    if not operations.pause(
        place, publishing=publishing, consuming=consuming, actor=who, reason=reason(request)
    ):
        return "It is paused so already: nothing was done."
    what = [
        *(["takes no publications"] if publishing else []),
        *(["gives out no messages"] if consuming else []),
    ]
    return f"Paused: it {' and '.join(what)}. What is taken may be settled."


def resume(request: HttpRequest, place: Place, who: str) -> str:
    """Go on."""
    if operations.resume(place, actor=who, reason=reason(request)):
        return "Resumed: it takes and gives messages again."
    return "It was not paused any more: nothing was done."


def sweep(verb: Verb) -> Callable[[HttpRequest, Place, str], str]:
    """Begin a redrive, a purge or a move of at most what was shown."""

    def act(request: HttpRequest, place: Place, who: str) -> str:
        wanted = Order(
            op=request.POST.get("op", ""),
            verb=verb,
            place=place,
            at_most=_shown(request),
            to=request.POST.get("to", "").strip(),
        )
        return told(operations.order(wanted, actor=who, reason=reason(request)))

    return act


def go_on(request: HttpRequest, place: Place, who: str) -> str:
    """Carry on what stands still."""
    return told(operations.go_on(request.POST.get("op", ""), actor=who))


def stop(request: HttpRequest, place: Place, who: str) -> str:
    """Make no more steps of it."""
    return told(operations.stop(request.POST.get("op", ""), actor=who))


def told(row: QueueSweep) -> str:
    """How a sweep stands, in words."""
    done = f"{number(row.done)} of at most {number(row.at_most)} {_DONE[Verb(row.verb)]}"
    match row.state:
        case SweepState.DONE:
            return f"{number(row.done)} {_DONE[Verb(row.verb)]}. What came later is untouched."
        case SweepState.RUNNING:
            return f"{done} so far; it goes on by itself, whether or not this page stays open."
        case SweepState.STOPPED:
            return f"Stopped: {done}. What was done stays done."
        case _:
            return f"It cannot go on: {row.error} {done}."


def acting(
    right: Right, act: Callable[[HttpRequest, Place, str], str], *, asks: bool, counts: bool = False
) -> View[...]:
    """A view that acts on the queue of its address, and says on its page what came of it.

    Args:
        right: what is needed for it.
        act: from the request, the queue and who it is: what came of it, in words.
        asks: whether a reason has to be given.
        counts: whether the number of what it falls on has to be typed.
    """

    @require_POST
    @viewer_required
    def view(request: HttpRequest, store: str, name: str = "") -> HttpResponse:
        who = actor(request, right)
        place = Place(store=store, name=name or request.GET.get("name", ""))
        address = queue_address(place.store, place.name)
        confirm = str(_shown(request))[-CONFIRM_DIGITS:] if counts else None
        wrong = mistake(request, confirm=confirm) if asks else ""
        if wrong:
            return back(request, address, wrong, failed=True)
        return answered(request, address, lambda: act(request, place, who))

    return view


def _shown(request: HttpRequest) -> int:
    """How many messages the page had shown when it was opened."""
    text = request.POST.get("shown", "")[:_COUNT_DIGITS]
    return int(text) if text.isdecimal() else 0


PAUSE_IT: Final = acting(PAUSE, pause, asks=True)
RESUME_IT: Final = acting(PAUSE, resume, asks=True)
REDRIVE_IT: Final = acting(PAUSE, sweep(Verb.REDRIVE), asks=True)
MOVE_IT: Final = acting(PAUSE, sweep(Verb.MOVE), asks=True, counts=True)
PURGE_IT: Final = acting(PURGE, sweep(Verb.PURGE), asks=True, counts=True)
GO_ON: Final = acting(PAUSE, go_on, asks=False)
STOP: Final = acting(PAUSE, stop, asks=False)
