"""The box in the top bar: straight to the one thing that is called so, or to a list."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_safe

from coordination.kernel.gids import is_gid
from dashboard.access import viewer_required
from dashboard.addresses import lock_address
from dashboard.clock import now_ms
from dashboard.filtering import LOCKS, TRANSACTIONS, Filter, FilterError, Grammar, parse
from dashboard.queries import locks, transactions
from dashboard.queries.bounds import TooSlowError


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
    if is_gid(text) and transactions.one(text) is not None:
        return reverse("dashboard:transaction", args=[text])
    named = locks.named(text, limit=2)
    if len(named) == 1:
        return lock_address(named[0].store, named[0].kind, named[0].name)
    return ""


def _list(text: str) -> str:
    """Transactions, unless only locks match."""
    where = "transactions"
    if text and not _any_transaction(text) and _any_lock(text):
        where = "locks"
    query = f"?{urlencode({'q': text})}" if text else ""
    return reverse(f"dashboard:{where}") + query


def _any_transaction(text: str) -> bool:
    wanted = _read(text, TRANSACTIONS)
    try:
        return wanted is not None and bool(transactions.first(wanted, now_ms=now_ms(), limit=1)[0])
    except TooSlowError:
        return True


def _any_lock(text: str) -> bool:
    wanted = _read(text, LOCKS)
    try:
        return wanted is not None and bool(locks.first(wanted, now_ms=now_ms(), limit=1)[0])
    except TooSlowError:
        return False


def _read(text: str, grammar: Grammar) -> Filter | None:
    try:
        return parse(text, grammar)
    except FilterError:
        return None
