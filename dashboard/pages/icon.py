"""The icon that browsers ask for where a page names none: Django's own pages do not."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.templatetags.static import static
from django.views.decorators.http import require_safe


@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    """Go to ours, whose name has a hash in it."""
    return HttpResponseRedirect(static("concord/img/logo.svg"))
