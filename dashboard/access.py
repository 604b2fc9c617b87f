"""Who may see the dashboard and who may act: permissions, checked on the server each time."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.views.decorators.cache import never_cache

VIEW: Final = "coordination.view_transactionrecord"
RESOLVE: Final = "coordination.resolve_transaction"
ASK: Final = "coordination.change_lockrecord"
FORCE: Final = "coordination.delete_lockrecord"
"""Records are nobody's to edit, so these say what may be done to the locks themselves."""

_Rest = ParamSpec("_Rest")
View = Callable[Concatenate[HttpRequest, _Rest], HttpResponseBase]


def may_view(user: Any) -> bool:
    """Whether `user` may see transactions, locks, events and verdicts."""
    return bool(user.is_authenticated and user.is_active and user.has_perm(VIEW))


def may_resolve(user: Any) -> bool:
    """Whether `user` may retry and resolve transactions and acknowledge violations."""
    return bool(may_view(user) and user.has_perm(RESOLVE))


def may_ask(user: Any) -> bool:
    """Whether `user` may ask the holders of a lock to give it back."""
    return bool(may_view(user) and user.has_perm(ASK))


def may_force(user: Any) -> bool:
    """Whether `user` may take a lock away from its holders."""
    return bool(may_view(user) and user.has_perm(FORCE))


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
