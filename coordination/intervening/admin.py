"""What the pages of Django's admin have in common: rows to be read, and acted on by operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from coordination.exceptions import CoordinationError, InvalidArgument
from coordination.intervening.failures import told
from coordination.intervening.reasons import (
    REASON_LENGTH_MAX,
    REASON_LENGTH_MIN,
    require_reason,
)

SELECTED_MAX: Final = 100

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:  # Django's own class takes no type arguments
    ModelAdmin = admin.ModelAdmin


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of acting on one row."""

    text: str
    level: int = messages.SUCCESS


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What can be done to each of the selected rows."""

    action: str
    """Its method on the page."""
    verb: str
    """What the button says."""
    allowed: Callable[[HttpRequest], bool]
    perform: Callable[[HttpRequest, Any, str], Answer]
    """From the request, a row and the reason. Raises CoordinationError."""


class StandingFilter(admin.SimpleListFilter):
    """Rows by where they stand; `CHOICES` gives each standing its condition."""

    title = "standing"
    parameter_name = "standing"
    CHOICES: ClassVar[dict[str, dict[str, Any]]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(choice, choice) for choice in self.CHOICES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.CHOICES.get(self.value() or "")
        return queryset.filter(**chosen) if chosen else queryset


class ReadOnlyAdmin(ModelAdmin):
    """Truth is never edited sideways: rows can be looked at, and acted on by operations."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class InterventionAdmin(ReadOnlyAdmin):
    """Rows that can be acted on: first what it would fall on is shown, and a reason asked for."""

    things: str
    """What the rows are, in the plural."""
    confirmation: str
    """The template that shows them before the deed."""
    words: Mapping[str, Any] = MappingProxyType({})
    """What else that template says."""

    def ask_or_do(
        self, request: HttpRequest, queryset: QuerySet[Any], deed: Deed
    ) -> HttpResponse | None:
        """Show what would be touched and ask for a reason; with one, do it, one by one.

        Raises PermissionDenied for who may only look.
        """
        if not deed.allowed(request):
            raise PermissionDenied
        rows = list(queryset.order_by("pk")[: SELECTED_MAX + 1])
        if len(rows) > SELECTED_MAX:
            said = f"Select at most {SELECTED_MAX} {self.things}."
            self.message_user(request, said, messages.ERROR)
            return None
        if "confirmed" not in request.POST:
            return self._confirmation(request, rows, deed)
        reason = request.POST.get("reason", "").strip()
        try:
            require_reason(reason)
        except InvalidArgument as error:
            self.message_user(request, str(error), messages.ERROR)
            return self._confirmation(request, rows, deed)
        for row in rows:
            self._act_on(request, row, deed, reason)
        return None

    def shown(self, rows: list[Any]) -> Iterable[Any]:
        """The rows as the confirmation's template wants them."""
        return rows

    def _act_on(self, request: HttpRequest, row: Any, deed: Deed, reason: str) -> None:
        try:
            answer = deed.perform(request, row, reason)
        except CoordinationError as error:
            answer = Answer(text=told(error), level=messages.ERROR)
        self.message_user(request, f"{row.pk}: {answer.text}", answer.level)

    def _confirmation(self, request: HttpRequest, rows: list[Any], deed: Deed) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": f"{deed.verb}: {len(rows)} {self.things}",
            "opts": self.opts,
            "rows": self.shown(rows),
            "action": deed.action,
            "verb": deed.verb,
            "checkbox": helpers.ACTION_CHECKBOX_NAME,
            "reason": request.POST.get("reason", ""),
            "reason_length_min": REASON_LENGTH_MIN,
            "reason_length_max": REASON_LENGTH_MAX,
            **self.words,
        }
        return TemplateResponse(request, self.confirmation, context)
