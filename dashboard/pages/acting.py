"""What every page that acts needs: who acts, whether the reason will do, and the way back."""

from __future__ import annotations

from http import HTTPStatus

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from dashboard.access import RESOLVE, may_resolve
from dashboard.limits import REASON_CHARS, REASON_CHARS_MIN


def actor(request: HttpRequest) -> str:
    """The name the history will keep.

    Raises:
        PermissionDenied: this user may look, not act.
    """
    if not may_resolve(request.user):
        raise PermissionDenied(f"This needs the permission {RESOLVE}.")
    return request.user.get_username()


def reason_mistake(reason: str) -> str:
    """What is wrong with a reason; empty when nothing is."""
    if REASON_CHARS_MIN <= len(reason) <= REASON_CHARS:
        return ""
    return f"The reason needs {REASON_CHARS_MIN} to {REASON_CHARS} characters."


def back(request: HttpRequest, address: str, text: str, *, failed: bool = False) -> HttpResponse:
    """Go to `address` and say there what came of it."""
    (messages.error if failed else messages.success)(request, text)
    answer = HttpResponseRedirect(address)
    answer.status_code = HTTPStatus.SEE_OTHER
    return answer
