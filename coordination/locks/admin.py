"""Locks in Django's admin: to be read, and to be acted on through `operations` alone."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from coordination.exceptions import CoordinationError
from coordination.locks import operations
from coordination.locks.operations import Shown
from coordination.locks.records import LockGrant, LockRecord
from coordination.transactions.admin import ReadOnlyAdmin

SELECTED_MAX = 100
TOKENS = "shown_tokens:"
"""Before a key: the tokens that were on the page when the reason was asked for."""

Act = Callable[[Shown, str, str], str]


class HeldFilter(admin.SimpleListFilter):
    """Held, waited for, or disputed."""

    title = "standing"
    parameter_name = "standing"
    CHOICES: dict[str, dict[str, Any]] = {
        "held": {"holding__gt": 0},
        "waited for": {"waiting__gt": 0},
        "free": {"holding": 0},
        "disputed": {"disputed__gt": ""},
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(choice, choice) for choice in self.CHOICES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.CHOICES.get(self.value() or "")
        return queryset.filter(**chosen) if chosen else queryset


@admin.register(LockRecord)
class LockRecordAdmin(ReadOnlyAdmin):
    list_display = (
        *("name", "kind", "store", "owner", "token", "lease_until"),
        *("waiters_in_line", "last_end", "changed_at", "disputed"),
    )
    list_filter = (HeldFilter, "kind", "store")
    search_fields = ("name", "owner")
    ordering = ("-waiting", "key")
    show_full_result_count = False
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
        if not self.has_ask_permission(request):
            raise PermissionDenied
        return self._ask_or_do(request, queryset, "request_revoke", "Ask to release", _ask)

    @admin.action(description="Force release", permissions=["force"])
    def force_release(
        self, request: HttpRequest, queryset: QuerySet[LockRecord]
    ) -> HttpResponse | None:
        if not self.has_force_permission(request):
            raise PermissionDenied
        return self._ask_or_do(request, queryset, "force_release", "Force release", _force)

    def _ask_or_do(
        self,
        request: HttpRequest,
        queryset: QuerySet[LockRecord],
        action: str,
        verb: str,
        act: Act,
    ) -> HttpResponse | None:
        """Show what would be touched and ask for a reason; with one, do it, one by one."""
        records = list(queryset.order_by("key")[: SELECTED_MAX + 1])
        if len(records) > SELECTED_MAX:
            self.message_user(request, f"Select at most {SELECTED_MAX} locks.", messages.ERROR)
            return None
        reason = request.POST.get("reason", "").strip()
        if "confirmed" not in request.POST or len(reason) < operations.REASON_LENGTH_MIN:
            if "confirmed" in request.POST:
                said = f"A reason of at least {operations.REASON_LENGTH_MIN} characters is needed."
                self.message_user(request, said, messages.ERROR)
            return self._confirmation(request, records, action, verb)
        for record in records:
            self._act_on(request, record, act, reason)
        return None

    def _act_on(self, request: HttpRequest, record: LockRecord, act: Act, reason: str) -> None:
        texts = request.POST.get(f"{TOKENS}{record.key}", "").split(",")
        shown = Shown(
            kind=record.kind,
            name=record.name,
            store=record.store,
            tokens=frozenset(int(text) for text in texts if text.isdecimal()),
        )
        try:
            said = act(shown, str(request.user), reason)
        except CoordinationError as error:
            done = "It may have happened or not." if error.applied is None else "Nothing was done."
            rest = "" if done in str(error) else f" {done}"
            self.message_user(request, f"{record.key}: {error}{rest}", messages.ERROR)
        else:
            self.message_user(request, f"{record.key}: {said}", messages.SUCCESS)

    def _confirmation(
        self, request: HttpRequest, records: list[LockRecord], action: str, verb: str
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": f"{verb}: {len(records)} locks",
            "opts": self.opts,
            "rows": [(record, f"{TOKENS}{record.key}", _tokens(record)) for record in records],
            "action": action,
            "verb": verb,
            "forced": action == "force_release",
            "grace_s": operations.GRACE_S,
            "checkbox": helpers.ACTION_CHECKBOX_NAME,
            "reason": request.POST.get("reason", ""),
            "reason_length_min": operations.REASON_LENGTH_MIN,
        }
        return TemplateResponse(request, "admin/coordination/confirm_lock_action.html", context)


@admin.register(LockGrant)
class LockGrantAdmin(ReadOnlyAdmin):
    list_display = (
        *("key", "token", "mode", "owner", "granted_at", "until"),
        *("renewals", "ended_at", "ended", "actor", "reason"),
    )
    list_filter = ("ended", "mode")
    search_fields = ("key", "owner")
    ordering = ("-granted_at",)
    show_full_result_count = False


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
