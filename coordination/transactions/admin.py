"""Transactions in Django's admin: to be read, and to be acted on through `operations` alone."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from coordination.intervening.admin import (
    Answer,
    Deed,
    InterventionAdmin,
    ReadOnlyAdmin,
    StandingFilter,
)
from coordination.transactions import operations
from coordination.transactions.tables import Branch, Transaction
from coordination.transactions.types import Outcome

if TYPE_CHECKING:
    BranchTable = admin.TabularInline[Branch, Transaction]
else:  # Django's own class takes no type arguments
    BranchTable = admin.TabularInline


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


class OutcomeFilter(StandingFilter):
    """Undecided, unfinished, ended or heuristic."""

    CHOICES = {
        "undecided": {"outcome__isnull": True},
        "unfinished": {"outcome__isnull": False, "ended_at__isnull": True},
        "ended": {"ended_at__isnull": False},
        "heuristic": {"heuristic__gt": ""},
    }


@admin.register(Transaction)
class TransactionAdmin(InterventionAdmin):
    things = "transactions"
    confirmation = "admin/coordination/confirm_transactions.html"
    list_display = (
        *("gid", "name", "outcome", "heuristic", "pending", "unfinished"),
        *("created_at", "decided_at", "ended_at", "reason"),
    )
    list_filter = (OutcomeFilter, "outcome", "protocol", "node")
    search_fields = ("gid", "name", "key")
    ordering = ("-created_at",)
    date_hierarchy = "created_at"
    inlines = (BranchInline,)
    actions = ("retry_now", "abort_in_doubt", "commit_in_doubt", "acknowledge")

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("coordination.resolve_transaction"))

    @admin.action(description="Retry now", permissions=["resolve"])
    def retry_now(
        self, request: HttpRequest, queryset: QuerySet[Transaction]
    ) -> HttpResponse | None:
        return self._do(request, queryset, "retry_now", "Retry now", _retry)

    @admin.action(description="Resolve in doubt: abort", permissions=["resolve"])
    def abort_in_doubt(
        self, request: HttpRequest, queryset: QuerySet[Transaction]
    ) -> HttpResponse | None:
        return self._do(request, queryset, "abort_in_doubt", "Abort", _abort)

    @admin.action(description="Resolve in doubt: commit", permissions=["resolve"])
    def commit_in_doubt(
        self, request: HttpRequest, queryset: QuerySet[Transaction]
    ) -> HttpResponse | None:
        return self._do(request, queryset, "commit_in_doubt", "Commit", _commit)

    @admin.action(description="Acknowledge a heuristic outcome", permissions=["resolve"])
    def acknowledge(
        self, request: HttpRequest, queryset: QuerySet[Transaction]
    ) -> HttpResponse | None:
        return self._do(request, queryset, "acknowledge", "Acknowledge", _acknowledge)

    def _do(
        self,
        request: HttpRequest,
        queryset: QuerySet[Transaction],
        action: str,
        verb: str,
        perform: Any,
    ) -> HttpResponse | None:
        allowed = self.has_resolve_permission
        deed = Deed(action=action, verb=verb, allowed=allowed, perform=perform)
        return self.ask_or_do(request, queryset, deed)


@admin.register(Branch)
class BranchAdmin(ReadOnlyAdmin):
    list_display = (
        *("transaction_id", "seq", "participant", "using", "mode", "form"),
        *("vote", "actual", "attempts", "last_error"),
    )
    list_filter = ("vote", "actual", "mode", "form")
    search_fields = ("transaction__gid", "participant")
    ordering = ("-id",)


def _retry(request: HttpRequest, row: Transaction, reason: str) -> Answer:
    count = operations.retry_now([row.gid], actor=str(request.user), reason=reason)
    return Answer(text="sent again." if count else "has ended: nothing to send.")


def _acknowledge(request: HttpRequest, row: Transaction, reason: str) -> Answer:
    count = operations.acknowledge(row.gid, actor=str(request.user), reason=reason)
    return Answer(text=f"acknowledged: {count}.")


def _abort(request: HttpRequest, row: Transaction, reason: str) -> Answer:
    return _resolve(request, row, Outcome.ABORTED, reason)


def _commit(request: HttpRequest, row: Transaction, reason: str) -> Answer:
    return _resolve(request, row, Outcome.COMMITTED, reason)


def _resolve(request: HttpRequest, row: Transaction, outcome: Outcome, reason: str) -> Answer:
    found = operations.resolve(row.gid, outcome=outcome, actor=str(request.user), reason=reason)
    word = "is now" if found.changed else "was already"
    level = messages.SUCCESS if found.outcome is outcome else messages.WARNING
    return Answer(text=f"{word} {found.outcome}.", level=level)
