"""What every page carries: navigation, who is looking, and the data its scripts start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import reverse

from coordination import conf
from coordination.intervening.reasons import REASON_LENGTH_MAX, REASON_LENGTH_MIN
from dashboard import limits, words
from dashboard.access import rights
from dashboard.clock import now_ms
from dashboard.queries import history, overview
from dashboard.queries.bounds import TooSlowError

Crumbs = Sequence[tuple[str, str]]


def page(
    request: HttpRequest,
    template: str,
    *,
    title: str,
    current: str,
    crumbs: Crumbs = (),
    data: Mapping[str, Any],
    status: int = 200,
    **context: Any,
) -> HttpResponse:
    """Render a page inside the shell.

    Args:
        current: which entry of the navigation is marked.
        crumbs: (text, address) of the pages above, topmost first.
        data: what the page's script starts from; values of JSON.
    """
    where = history.position()
    perms = rights(request.user)
    shell = {
        "seq": where.seq,
        "epoch": where.epoch,
        "server_time": now_ms(),
        "words": words.for_scripts(),
        "icons": static("concord/img/icons.svg"),
        "transactions": reverse("dashboard:transactions"),
        "locks": reverse("dashboard:locks"),
        "counters": reverse("dashboard:counters"),
        "queues": reverse("dashboard:queues"),
        "messages": reverse("dashboard:message", args=["s", "m"]).removesuffix("s/m"),
        "queue_silent_ms": limits.QUEUE_SILENT_MS,
        "queue_busy_ms": limits.QUEUE_BUSY_MS,
        "backing_up_ms": limits.BACKING_UP_MS,
        "socket": "/ws/feed",
        "login": reverse("dashboard:login"),
        "perms": perms,
        "in_doubt_ms": limits.IN_DOUBT_AFTER_MS,
        "counting_ms": limits.COUNTING_MS,
        "ending_ms": limits.ENDING_MS,
        "ending_share": limits.ENDING_SHARE,
        "page_rows": limits.PAGE_ROWS,
        "count_max": limits.COUNT_MAX,
    }
    rest = {
        "title": title,
        "current": current,
        "script": f"concord/js/pages/{template.rpartition('/')[2].removesuffix('.html')}.js",
        "crumbs": crumbs,
        "shell": shell,
        "data": data,
        "rail": _rail(),
        "seq": where.seq,
        "node": conf.current().node,
        "may_act": any(perms.values()),
        "reason_min": REASON_LENGTH_MIN,
        "reason_max": REASON_LENGTH_MAX,
        "demo": getattr(settings, "DEMO", False),
    }
    return render(request, template, rest | context, status=status)


def _rail() -> dict[str, int]:
    try:
        return overview.rail(now_ms())
    except TooSlowError:
        return dict.fromkeys(
            ("doubt", "broken", "disputed", "miscounted", "deadlocks", "queues"), 0
        )
