"""Transactions in Django's admin: to be read, and to be acted on through `operations` alone."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html

from coordination.exceptions import CoordinationError
from coordination.transactions import operations
from coordination.transactions.tables import Branch, Transaction
from coordination.transactions.types import Outcome

SELECTED_MAX = 100

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    BranchTable = admin.TabularInline[Branch, Transaction]
else:  # Django's own classes take no type arguments
    ModelAdmin = admin.ModelAdmin
    BranchTable = admin.TabularInline


class ReadOnlyAdmin(ModelAdmin):
    """Truth is never edited sideways: rows can be looked at, and acted on by operations."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class BranchInline(BranchTable):
    model = Branch
    fields = (
        *("seq", "participant", "using", "mode", "form", "vote", "actual"),
        *("attempts", "reason", "last_error"),
    )
    readonly_fields = fields
    ordering = ("seq",)
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class StandingFilter(admin.SimpleListFilter):
    """Undecided, unfinished, ended or heuristic."""

    title = "standing"
    parameter_name = "standing"
    CHOICES: dict[str, dict[str, Any]] = {
        "undecided": {"outcome__isnull": True},
        "unfinished": {"outcome__isnull": False, "ended_at__isnull": True},
        "ended": {"ended_at__isnull": False},
        "heuristic": {"heuristic__gt": ""},
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(choice, choice) for choice in self.CHOICES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.CHOICES.get(self.value() or "")
        return queryset.filter(**chosen) if chosen else queryset


@admin.register(Transaction)
class TransactionAdmin(ReadOnlyAdmin):
    list_display = (
        *("gid", "name", "outcome", "heuristic", "pending", "unfinished"),
        *("created_at", "decided_at", "ended_at", "reason"),
    )
    list_filter = (StandingFilter, "outcome", "protocol", "node")
    search_fields = ("gid", "name", "key")
    ordering = ("-created_at",)
    date_hierarchy = "created_at"
    show_full_result_count = False
    inlines = (BranchInline,)
    actions = ("retry_now", "abort_in_doubt", "commit_in_doubt")

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("coordination.resolve_transaction"))

    @admin.action(description="Retry now", permissions=["resolve"])
    def retry_now(
        self, request: HttpRequest, queryset: QuerySet[Transaction]
    ) -> HttpResponse | None:
        return self._ask_or_do(request, queryset, "retry_now", "Retry now", self._retry)

    @admin.action(description="Resolve in doubt: abort", permissions=["resolve"])
    def abort_in_doubt(
        self, request: HttpRequest, queryset: QuerySet[Transaction]
    ) -> HttpResponse | None:
        return self._ask_or_do(request, queryset, "abort_in_doubt", "Abort", self._abort)

    @admin.action(description="Resolve in doubt: commit", permissions=["resolve"])
    def commit_in_doubt(
        self, request: HttpRequest, queryset: QuerySet[Transaction]
    ) -> HttpResponse | None:
        return self._ask_or_do(request, queryset, "commit_in_doubt", "Commit", self._commit)

    def _ask_or_do(
        self,
        request: HttpRequest,
        queryset: QuerySet[Transaction],
        action: str,
        verb: str,
        perform: Any,
    ) -> HttpResponse | None:
        """Show what would be touched and ask for a reason; with one, do it."""
        if not self.has_resolve_permission(request):
            raise PermissionDenied
        rows = list(queryset.order_by("gid")[: SELECTED_MAX + 1])
        if len(rows) > SELECTED_MAX:
            self.message_user(
                request, f"Select at most {SELECTED_MAX} transactions.", messages.ERROR
            )
            return None
        if "confirmed" not in request.POST:
            return self._confirmation(request, rows, action, verb)
        try:
            perform(request, rows, str(request.user), request.POST.get("reason", ""))
        except CoordinationError as error:
            self.message_user(request, str(error), messages.ERROR)
            return self._confirmation(request, rows, action, verb)
        return None

    def _confirmation(
        self, request: HttpRequest, rows: list[Transaction], action: str, verb: str
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": f"{verb}: {len(rows)} transactions",
            "opts": self.opts,
            "rows": rows,
            "action": action,
            "verb": verb,
            "checkbox": helpers.ACTION_CHECKBOX_NAME,
            "reason": request.POST.get("reason", ""),
            "reason_length_min": operations.REASON_LENGTH_MIN,
        }
        return TemplateResponse(request, "admin/coordination/confirm_action.html", context)

    def _retry(
        self, request: HttpRequest, rows: list[Transaction], actor: str, reason: str
    ) -> None:
        count = operations.retry_now([row.gid for row in rows], actor=actor, reason=reason)
        self.message_user(request, f"{count} unfinished transactions are retried now.")

    def _abort(
        self, request: HttpRequest, rows: list[Transaction], actor: str, reason: str
    ) -> None:
        self._resolve(request, rows, Outcome.ABORTED, actor, reason)

    def _commit(
        self, request: HttpRequest, rows: list[Transaction], actor: str, reason: str
    ) -> None:
        self._resolve(request, rows, Outcome.COMMITTED, actor, reason)

    def _resolve(
        self,
        request: HttpRequest,
        rows: list[Transaction],
        outcome: Outcome,
        actor: str,
        reason: str,
    ) -> None:
        for row in rows:
            found = operations.resolve(row.gid, outcome=outcome, actor=actor, reason=reason)
            level = messages.SUCCESS if found.outcome is outcome else messages.WARNING
            word = "is now" if found.changed else "was already"
            text = format_html("{} {} {}.", row.gid, word, found.outcome)
            self.message_user(request, text, level)


@admin.register(Branch)
class BranchAdmin(ReadOnlyAdmin):
    list_display = (
        *("transaction_id", "seq", "participant", "using", "mode", "form"),
        *("vote", "actual", "attempts", "last_error"),
    )
    list_filter = ("vote", "actual", "mode", "form")
    search_fields = ("transaction__gid", "participant")
    ordering = ("-id",)
    show_full_result_count = False
