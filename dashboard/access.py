"""Who may see the dashboard and who may act: permissions, checked on the server each time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.views.decorators.cache import never_cache

VIEW: Final = "coordination.view_transactionrecord"

_Rest = ParamSpec("_Rest")
View = Callable[Concatenate[HttpRequest, _Rest], HttpResponseBase]


def may_view(user: Any) -> bool:
    """Whether `user` may see transactions, locks, events and verdicts."""
    return bool(user.is_authenticated and user.is_active and user.has_perm(VIEW))


@dataclass(frozen=True, slots=True)
class Right:
    """To do something; who may not even look has none."""

    permission: str

    def of(self, user: Any) -> bool:
        """Whether `user` has it."""
        return bool(may_view(user) and user.has_perm(self.permission))


RESOLVE: Final = Right("coordination.resolve_transaction")
"""To retry and resolve transactions, and to acknowledge violations."""
# Records are nobody's to edit, so these say what may be done to the locks themselves.
ASK: Final = Right("coordination.change_lockrecord")
"""To ask the holders of a lock to give it back."""
FORCE: Final = Right("coordination.delete_lockrecord")
"""To take a lock away from its holders."""
ADJUST: Final = Right("coordination.change_counterrecord")
"""To add to a counter by hand."""
RESET: Final = Right("coordination.delete_counterrecord")
"""To write a counter's initial value."""
PAUSE: Final = Right("coordination.change_queuerecord")
"""To pause and resume queues, and to move or redrive what is in them."""
PURGE: Final = Right("coordination.delete_queuerecord")
"""To throw messages of queues away."""


def rights(user: Any) -> dict[str, bool]:
    """What `user` may do, as pages and sockets say it to scripts."""
    every = {
        "resolve": RESOLVE,
        "ask": ASK,
        "force": FORCE,
        "adjust": ADJUST,
        "reset": RESET,
        "pause": PAUSE,
        "purge": PURGE,
    }
    return {word: right.of(user) for word, right in every.items()}


def viewer_required(view: View[_Rest]) -> View[_Rest]:
    """Send strangers to the login page, refuse (403) who lacks the permission; never cached."""

    @wraps(view)
    def guarded(
        request: HttpRequest, /, *args: _Rest.args, **kwargs: _Rest.kwargs
    ) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path(), reverse("dashboard:login"))
        if not may_view(request.user):
            raise PermissionDenied(f"This needs the permission {VIEW}.")
        return view(request, *args, **kwargs)

    return never_cache(guarded)
