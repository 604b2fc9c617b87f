"""One counter: how it stands, how it got there, and what a person may do."""

from __future__ import annotations

import secrets
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from coordination.counters import operations
from coordination.counters.operations import Shown
from coordination.kernel.arguments import INTEGER_MAX
from dashboard.access import ADJUST, RESET, viewer_required
from dashboard.addresses import counter_address
from dashboard.clock import now_ms
from dashboard.counter_rows import CounterRow
from dashboard.limits import CHANGE_ROWS
from dashboard.pages.acting import actor, answered, back, mistake, obstacle, reason
from dashboard.pages.counters import Shown as ShownRow
from dashboard.pages.shell import page
from dashboard.promises import COUNTING
from dashboard.queries import counters
from dashboard.queries.verdicts import verdict, violations

_CONFIRM_DIGITS = 6
_OP_ID_CHARS = 64


@require_safe
@viewer_required
def counter(request: HttpRequest, store: str, name: str = "") -> HttpResponse:
    """Render it; the socket brings every change."""
    row = _row(request, store, name)
    now = now_ms()
    changes, cells = counters.changes(row.key), counters.cells(row.key)
    record = verdict(COUNTING)
    return page(
        request,
        "dashboard/counter.html",
        title=row.name,
        current="counters",
        crumbs=[("Counters", reverse("dashboard:counters"))],
        data={
            "key": row.key,
            "row": row.wire(),
            "changes": [change.wire() for change in changes],
            "cells": [cell.wire() for cell in cells],
            "change_rows": CHANGE_ROWS,
        },
        row=row,
        item=ShownRow.at(row, now),
        changes=changes,
        cells=cells,
        verdict=record,
        verdict_state=record.state_at(now),
        violations=violations(COUNTING, gid=row.key),
        op_id=f"by-hand-{secrets.token_hex(8)}",
        confirm=str(row.value)[-_CONFIRM_DIGITS:],
        obstacles={"adjust": obstacle(request, ADJUST), "reset": obstacle(request, RESET)},
        may_adjust=ADJUST.of(request.user),
        may_reset=RESET.of(request.user),
        addresses={
            what: counter_address(row.store, row.name, route=f"counter-{what}")
            for what in ("adjust", "reset")
        },
    )


@require_POST
@viewer_required
def adjust(request: HttpRequest, store: str, name: str = "") -> HttpResponse:
    """Add an amount to it."""
    who, row = actor(request, ADJUST), _row(request, store, name)
    text = request.POST.get("amount", "").strip()
    amount = _number(text)
    if amount is None or not -INTEGER_MAX <= amount <= INTEGER_MAX:
        return _refused(request, row, f"The amount must be a whole number, not “{text[:40]}”.")
    if wrong := mistake(request):
        return _refused(request, row, wrong)

    def act() -> str:
        value = operations.adjust(
            _shown(row), amount, actor=who, reason=reason(request), op_id=_op_id(request)
        )
        return f"Adjusted by {amount:+,}. It is {value:,} now."

    return answered(request, counter_address(row.store, row.name), act)


@require_POST
@viewer_required
def reset(request: HttpRequest, store: str, name: str = "") -> HttpResponse:
    """Write its initial value, if it still has the one that the page had shown."""
    who, row = actor(request, RESET), _row(request, store, name)
    value = _number(request.POST.get("value", ""))
    if value is None:
        return _refused(request, row, "The page did not say which value was shown. Open it again.")
    if wrong := mistake(request, confirm=str(value)[-_CONFIRM_DIGITS:]):
        return _refused(request, row, wrong)

    def act() -> str:
        shown = _shown(row, value=value)
        new = operations.reset(shown, actor=who, reason=reason(request), op_id=_op_id(request))
        return f"Reset from {value:,}. It is {new:,} now."

    return answered(request, counter_address(row.store, row.name), act)


def _row(request: HttpRequest, store: str, name: str) -> CounterRow:
    name = name or request.GET.get("name", "")
    key = f"{store} {name}"
    row = counters.one(key) if key.isprintable() else None
    # A further row of a counter has a key of its own, and no page.
    if row is None or row.counter != key:
        raise Http404(f"No counter {name} on {store} is known here.")
    return row


def _refused(request: HttpRequest, row: CounterRow, text: str) -> HttpResponse:
    return back(request, counter_address(row.store, row.name), text, failed=True)


def _number(text: str) -> int | None:
    try:
        return int(text) if len(text) <= 20 else None
    except ValueError:
        return None


def _op_id(request: HttpRequest) -> str:
    """The page's: whoever sends it twice acts once."""
    text: str = request.POST.get("op_id", "")[:_OP_ID_CHARS]
    return text or f"by-hand-{secrets.token_hex(8)}"


def _shown(row: CounterRow, **fields: Any) -> Shown:
    values: dict[str, Any] = {
        "name": row.name,
        "store": row.store,
        "value": row.value,
        "initial": row.initial,
        "minimum": row.minimum,
        "maximum": row.maximum,
        "shards": row.shards,
    }
    return Shown(**values | fields)
