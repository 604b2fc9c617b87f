"""Locks in Django's admin: to be read, and to be acted on through `operations` alone."""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from coordination.intervening.admin import (
    Answer,
    Deed,
    InterventionAdmin,
    ReadOnlyAdmin,
    StandingFilter,
)
from coordination.locks import operations
from coordination.locks.operations import Shown
from coordination.locks.records import LockGrant, LockRecord

TOKENS = "shown_tokens:"
"""Before a key: the tokens that were on the page when the reason was asked for."""

Act = Callable[[Shown, str, str], str]


class HeldFilter(StandingFilter):
    """Held, waited for, or disputed."""

    CHOICES = {
        "held": {"holding__gt": 0},
        "waited for": {"waiting__gt": 0},
        "free": {"holding": 0},
        "disputed": {"disputed__gt": ""},
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class ToConfirm:
    """A record, and the tokens that a deed to it will carry under `field`."""

    record: LockRecord
    field: str
    tokens: str


@admin.register(LockRecord)
class LockRecordAdmin(InterventionAdmin):
    things = "locks"
    confirmation = "admin/coordination/confirm_locks.html"
    words = MappingProxyType({"grace_s": operations.GRACE_S})
    list_display = (
        *("name", "kind", "store", "owner", "token", "lease_until"),
        *("waiters_in_line", "last_end", "changed_at", "disputed"),
    )
    list_filter = (HeldFilter, "kind", "store")
    search_fields = ("name", "owner")
    ordering = ("-waiting", "key")
    actions = ("request_revoke", "force_release")

    @admin.display(description="lease until", ordering="until")
    def lease_until(self, record: LockRecord) -> Any:
        return record.until

    @admin.display(description="waiters", ordering="waiting")
    def waiters_in_line(self, record: LockRecord) -> str:
        if not record.waiting:
            return "0"
        return f"{record.waiting}, next {record.waiters[0]['owner']}"

    # Nobody edits a record, so these rights say what may be done to the locks themselves.
    def has_ask_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("coordination.change_lockrecord"))

    def has_force_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("coordination.delete_lockrecord"))

    @admin.action(description="Ask to release", permissions=["ask"])
    def request_revoke(
        self, request: HttpRequest, queryset: QuerySet[LockRecord]
    ) -> HttpResponse | None:
        deed = Deed(
            action="request_revoke",
            verb="Ask to release",
            allowed=self.has_ask_permission,
            perform=_performing(_ask),
        )
        return self.ask_or_do(request, queryset, deed)

    @admin.action(description="Force release", permissions=["force"])
    def force_release(
        self, request: HttpRequest, queryset: QuerySet[LockRecord]
    ) -> HttpResponse | None:
        deed = Deed(
            action="force_release",
            verb="Force release",
            allowed=self.has_force_permission,
            perform=_performing(_force),
        )
        return self.ask_or_do(request, queryset, deed)

    def shown(self, rows: list[Any]) -> list[ToConfirm]:
        return [
            ToConfirm(record=row, field=f"{TOKENS}{row.key}", tokens=_tokens(row)) for row in rows
        ]


@admin.register(LockGrant)
class LockGrantAdmin(ReadOnlyAdmin):
    list_display = (
        *("key", "token", "mode", "owner", "granted_at", "until"),
        *("renewals", "ended_at", "ended", "actor", "reason"),
    )
    list_filter = ("ended", "mode")
    search_fields = ("key", "owner")
    ordering = ("-granted_at",)


def _performing(act: Act) -> Callable[[HttpRequest, LockRecord, str], Answer]:
    """The deed, on the tokens that its page had shown."""

    def perform(request: HttpRequest, record: LockRecord, reason: str) -> Answer:
        texts = request.POST.get(f"{TOKENS}{record.key}", "").split(",")
        shown = Shown(
            kind=record.kind,
            name=record.name,
            store=record.store,
            tokens=frozenset(int(text) for text in texts if text.isdecimal()),
        )
        return Answer(text=act(shown, str(request.user), reason))

    return perform


def _ask(shown: Shown, actor: str, reason: str) -> str:
    count = operations.ask_to_release(shown, actor=actor, reason=reason)
    return f"{count} asked." if count else "nobody held it any more."


def _force(shown: Shown, actor: str, reason: str) -> str:
    tokens = operations.force_release(shown, actor=actor, reason=reason)
    if not tokens:
        return "nobody held it any more."
    return f"taken away from token {', '.join(str(token) for token in tokens)}."


def _tokens(record: LockRecord) -> str:
    return ",".join(str(each["token"]) for each in record.holders if each.get("token"))
