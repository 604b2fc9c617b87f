"""The box in the top bar: straight to the one thing that is called so, or to a list."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_safe

from coordination.kernel.gids import is_gid
from dashboard.access import viewer_required
from dashboard.addresses import counter_address, lock_address, queue_address
from dashboard.clock import now_ms
from dashboard.filtering import FilterError, parse
from dashboard.pages import counters, locks, queues, transactions
from dashboard.pages.listing import ListPage
from dashboard.queries.bounds import TooSlowError
from dashboard.queries.counters import named as counters_named
from dashboard.queries.locks import named as locks_named
from dashboard.queries.queues import named as queues_named
from dashboard.queries.transactions import one as transaction_row

_OTHERS: Final[tuple[ListPage[Any, Any], ...]] = (
    locks.PAGE,
    counters.PAGE,
    queues.PAGE,
)


@require_safe
@viewer_required
def find(request: HttpRequest) -> HttpResponse:
    """Go there."""
    text = request.GET.get("q", "").strip()
    return HttpResponseRedirect(_thing(text) or _list(text))


def _thing(text: str) -> str:
    """The page of the one thing of this name, whatever it is; empty when there is none."""
    if not text or not text.isprintable():
        return ""
    if is_gid(text) and transaction_row(text) is not None:
        return reverse("dashboard:transaction", args=[text])
    found = [
        *(lock_address(each.store, each.kind, each.name) for each in locks_named(text, limit=2)),
        *(counter_address(each.store, each.name) for each in counters_named(text, limit=2)),
        *(queue_address(each.store, each.name) for each in queues_named(text, limit=2)),
    ]
    return found[0] if len(found) == 1 else ""


def _list(text: str) -> str:
    """Transactions, unless only locks match, or only counters, or only queues."""
    chosen = transactions.PAGE.name
    if text and not _any(transactions.PAGE, text, if_slow=True):
        others = (page.name for page in _OTHERS if _any(page, text, if_slow=False))
        chosen = next(others, chosen)
    query = f"?{urlencode({'q': text})}" if text else ""
    return reverse(f"dashboard:{chosen}") + query


def _any(page: ListPage[Any, Any], text: str, *, if_slow: bool) -> bool:
    """Whether anything in a list matches; `if_slow` when that cannot be told in time."""
    try:
        wanted = parse(text, page.grammar)
        return bool(page.listing.first(wanted, now_ms=now_ms(), limit=1)[0])
    except FilterError:
        return False
    except TooSlowError:
        return if_slow
