"""What every page that acts needs: who acts, whether the reason will do, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from coordination.exceptions import CoordinationError
from coordination.intervening.failures import told
from coordination.intervening.reasons import REASON_LENGTH_MAX, REASON_LENGTH_MIN
from dashboard.access import Right


def actor(request: HttpRequest, right: Right) -> str:
    """The name the history will keep.

    Raises:
        PermissionDenied: this user may look, not act.
    """
    if not right.of(request.user):
        raise PermissionDenied(f"This needs the permission {right.permission}.")
    return request.user.get_username()


def obstacle(request: HttpRequest, right: Right, otherwise: str = "") -> str:
    """Why this person cannot act now: for want of the right, or else `otherwise`."""
    if right.of(request.user):
        return otherwise
    return f"You need the permission {right.permission}"


def reason(request: HttpRequest) -> str:
    """Why it is done, as it was typed."""
    return request.POST.get("reason", "").strip()


def mistake(request: HttpRequest, *, confirm: str | None = None) -> str:
    """What is wrong with what was typed; empty when nothing is.

    Args:
        confirm: what had to be typed to confirm, if anything had.
    """
    if confirm is not None and request.POST.get("confirm", "").strip() != confirm:
        return f"Type {confirm} to confirm."
    if REASON_LENGTH_MIN <= len(reason(request)) <= REASON_LENGTH_MAX:
        return ""
    return f"The reason needs {REASON_LENGTH_MIN} to {REASON_LENGTH_MAX} characters."


def answered(request: HttpRequest, address: str, act: Callable[[], str]) -> HttpResponse:
    """Act, go to `address` and say there what came of it."""
    try:
        return back(request, address, act())
    except CoordinationError as error:
        return back(request, address, told(error), failed=True)


def back(request: HttpRequest, address: str, text: str, *, failed: bool = False) -> HttpResponse:
    """Go to `address` and say there what came of it."""
    (messages.error if failed else messages.success)(request, text)
    answer = HttpResponseRedirect(address)
    answer.status_code = HTTPStatus.SEE_OTHER
    return answer
