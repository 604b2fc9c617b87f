"""Counters in Django's admin: to be read, and to be acted on through `operations` alone."""

import secrets
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from coordination.counters import operations
from coordination.counters.operations import Shown
from coordination.counters.records import CounterRecord
from coordination.exceptions import InvalidArgument
from coordination.intervening.admin import Answer, Deed, InterventionAdmin, StandingFilter

SHOWN = "shown:"
"""Before a key: value and op id that its deed will carry."""


class StandFilter(StandingFilter):
    """Disputed, bounded, or in several rows."""

    CHOICES = {
        "disputed": {"disputed__gt": ""},
        "events lost": {"gap": True},
        "in several rows": {"shards__gt": 1},
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class ToConfirm:
    """A record, and under `field` what its deed will carry: the value that was shown, an op id."""

    record: CounterRecord
    field: str
    carried: str


@admin.register(CounterRecord)
class CounterRecordAdmin(InterventionAdmin):
    things = "counters"
    confirmation = "admin/coordination/confirm_counters.html"
    words = MappingProxyType({})
    list_display = (
        *("name", "store", "value", "writes", "changes", "changed_at"),
        *("minimum", "maximum", "shards", "disputed"),
    )
    list_filter = (StandFilter, "store")
    search_fields = ("name",)
    ordering = ("-changed_at",)
    actions = ("adjust", "reset")

    def get_queryset(self, request: HttpRequest) -> QuerySet[CounterRecord]:
        """One row a counter; the sum of several stands in the first."""
        found: QuerySet[CounterRecord] = super().get_queryset(request)
        return found.filter(shard=0)

    # Nobody edits a record, so these rights say what may be done to the counters themselves.
    def has_adjust_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("coordination.change_counterrecord"))

    def has_reset_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("coordination.delete_counterrecord"))

    @admin.action(description="Adjust by an amount", permissions=["adjust"])
    def adjust(
        self, request: HttpRequest, queryset: QuerySet[CounterRecord]
    ) -> HttpResponse | None:
        deed = Deed(
            action="adjust", verb="Adjust", allowed=self.has_adjust_permission, perform=_adjust
        )
        return self.ask_or_do(request, queryset, deed)

    @admin.action(description="Reset to the initial value", permissions=["reset"])
    def reset(self, request: HttpRequest, queryset: QuerySet[CounterRecord]) -> HttpResponse | None:
        deed = Deed(action="reset", verb="Reset", allowed=self.has_reset_permission, perform=_reset)
        return self.ask_or_do(request, queryset, deed)

    def shown(self, rows: list[Any]) -> list[ToConfirm]:
        return [
            ToConfirm(
                record=row,
                field=f"{SHOWN}{row.key}",
                carried=f"{row.value},{secrets.token_hex(8)}",
            )
            for row in rows
        ]


def _adjust(request: HttpRequest, record: CounterRecord, reason: str) -> Answer:
    shown, op_id = _shown(request, record)
    amount = _amount(request.POST.get("amount", ""))
    value = operations.adjust(shown, amount, actor=str(request.user), reason=reason, op_id=op_id)
    return Answer(text=f"adjusted by {amount:+,}; it is {value:,} now.")


def _reset(request: HttpRequest, record: CounterRecord, reason: str) -> Answer:
    shown, op_id = _shown(request, record)
    value = operations.reset(shown, actor=str(request.user), reason=reason, op_id=op_id)
    return Answer(text=f"reset from {shown.value:,}; it is {value:,} now.")


def _amount(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidArgument(f"The amount must be a whole number, not {text!r:.40}.") from None


def _shown(request: HttpRequest, record: CounterRecord) -> tuple[Shown, str]:
    """The counter with the value that the page had shown, and the op id made with that page."""
    value, _, op_id = request.POST.get(f"{SHOWN}{record.key}", "").partition(",")
    if not op_id:
        raise InvalidArgument("The page did not say which value was shown. Open it again.")
    shown = Shown(
        name=record.name,
        store=record.store,
        value=_amount(value),
        initial=record.initial,
        minimum=record.minimum,
        maximum=record.maximum,
        shards=record.shards,
    )
    return shown, op_id
