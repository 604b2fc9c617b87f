"""The door."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import views
from django.urls import reverse

from coordination import conf


class Login(views.LoginView):
    """Sign in; whoever is signed in already goes straight on."""

    template_name = "dashboard/login.html"
    redirect_authenticated_user = True

    def get_default_redirect_url(self) -> str:
        """The overview, unless a page was asked for."""
        return reverse("dashboard:overview")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The demo's credentials are shown only where the demo runs."""
        demo = getattr(settings, "DEMO", False)
        return super().get_context_data(**kwargs) | {"demo": demo, "node": conf.current().node}


class Logout(views.LogoutView):
    """Sign out; by POST only, as Django has it."""

    def get_default_redirect_url(self) -> str:
        """The door again."""
        return reverse("dashboard:login")
