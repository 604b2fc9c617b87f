"""The box in the top bar: straight to the one thing that is called so, or to a list."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_safe

from coordination.kernel.gids import is_gid
from dashboard.access import viewer_required
from dashboard.addresses import lock_address
from dashboard.clock import now_ms
from dashboard.filtering import FilterError, parse
from dashboard.pages import locks, transactions
from dashboard.pages.listing import ListPage
from dashboard.queries.bounds import TooSlowError
from dashboard.queries.locks import named as locks_named
from dashboard.queries.transactions import one as transaction_row


@require_safe
@viewer_required
def find(request: HttpRequest) -> HttpResponse:
    """Go there."""
    text = request.GET.get("q", "").strip()
    return HttpResponseRedirect(_thing(text) or _list(text))


def _thing(text: str) -> str:
    """The page of the transaction or the one lock of this name; empty when there is none."""
    if not text or not text.isprintable():
        return ""
    if is_gid(text) and transaction_row(text) is not None:
        return reverse("dashboard:transaction", args=[text])
    named = locks_named(text, limit=2)
    if len(named) == 1:
        return lock_address(named[0].store, named[0].kind, named[0].name)
    return ""


def _list(text: str) -> str:
    """Transactions, unless only locks match."""
    chosen = transactions.PAGE.name
    if text and not _any(transactions.PAGE, text, if_slow=True):
        chosen = locks.PAGE.name if _any(locks.PAGE, text, if_slow=False) else chosen
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
