"""Fenced rows in Django's admin: a person holds no lock, so what they save is UNFENCED."""

from typing import Any

from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from coordination.fencing.deleting import cascading
from coordination.fencing.model import FencedModel
from coordination.fencing.tokens import UNFENCED


class FencedAdmin:
    """Put it in front of `ModelAdmin`, for a fenced model or one that has fenced rows inline.

    The token that stands in a row stays, so a holder at work writes on after the admin did.
    """

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        """Save the row of the page."""
        _save(obj)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Save the inline rows of the page."""
        for obj in formset.save(commit=False):
            _save(obj)
        with cascading(UNFENCED):
            for obj in formset.deleted_objects:
                _delete(obj)
        formset.save_m2m()

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        """Delete one row and what hangs on it."""
        with cascading(UNFENCED):
            _delete(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Model]) -> None:
        """Delete the rows of the action."""
        with transaction.atomic(using=queryset.db), cascading(UNFENCED):
            if issubclass(queryset.model, FencedModel):
                queryset = queryset.fenced(UNFENCED)  # type: ignore[attr-defined]
            queryset.delete()


def _save(obj: Model) -> None:
    if isinstance(obj, FencedModel):
        obj.save(token=UNFENCED)
    else:
        obj.save()


def _delete(obj: Model) -> None:
    if isinstance(obj, FencedModel):
        obj.delete(token=UNFENCED)
    else:
        obj.delete()
