"""Versioned rows in Django's admin: a page that was opened before somebody else saved says so.

The form carries the version that was shown, signed, as a hidden field. Saving compares it, first
with the row as it stands and then in the UPDATE itself.
"""

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core import checks, signing
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from coordination.exceptions import ConflictError

SHOWN = "concord_version"
"""The hidden field."""


class VersionedForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form that knows which version it showed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding:
            shown = {"version": self.instance.version, "at": datetime.now(UTC).timestamp()}
            self.initial[SHOWN] = signing.dumps(shown, salt=self._salt())

    def clean(self) -> dict[str, Any]:
        """Refuse what was shown at an older version."""
        cleaned = super().clean() or self.cleaned_data
        if self.instance._state.adding:
            return cleaned
        shown = self._shown()
        if shown["version"] != self.instance.version:
            raise forms.ValidationError(_meanwhile(self, shown), code="conflict")
        return cleaned

    def _shown(self) -> dict[str, Any]:
        try:
            shown: dict[str, Any] = signing.loads(
                self.cleaned_data.get(SHOWN) or "", salt=self._salt()
            )
        except signing.BadSignature:
            raise forms.ValidationError(
                "This page does not say which version it shows: open it again.", code="conflict"
            ) from None
        return shown

    def _salt(self) -> str:
        return f"coordination.versions:{self.instance._meta.label_lower}:{self.instance.pk}"


class VersionedAdmin:
    """Put it in front of `ModelAdmin` of a versioned model.

    A save over somebody else's is refused with what they changed, and who, as far as the row and
    the admin's log tell. The changed row has to be opened again.
    """

    def get_form(
        self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:  # type: ignore[type-arg]
        """The admin's form with the hidden field."""
        own: Any = super()
        form = kwargs.pop("form", None) or self.form  # type: ignore[attr-defined]
        hidden = forms.CharField(required=False, widget=forms.HiddenInput)
        bases = (form,) if issubclass(form, VersionedForm) else (VersionedForm, form)
        # Through the metaclass of forms, which collects the field.
        versioned = type(form)(form.__name__, bases, {SHOWN: hidden, "__module__": __name__})
        made: type[forms.ModelForm] = own.get_form(  # type: ignore[type-arg]
            request, obj, change=change, form=versioned, **kwargs
        )
        return made

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """The admin's fieldsets; the last one has the hidden field."""
        own: Any = super()
        sets = [(title, dict(options)) for title, options in own.get_fieldsets(request, obj)]
        shown = [name for _, options in sets for name in options["fields"]]
        if SHOWN not in shown and sets:
            options = sets[-1][1]
            options["fields"] = [*options["fields"], SHOWN]
        return sets

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page; a conflict that is found only by the UPDATE is found by the form next time."""
        own: Any = super()
        try:
            page: HttpResponse = own.changeform_view(request, *args, **kwargs)
        except ConflictError:
            page = own.changeform_view(request, *args, **kwargs)
        return page

    def delete_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> Any:
        """The page that deletes; a row that moves on at that moment stays."""
        own: Any = super()
        try:
            return own.delete_view(request, object_id, *args, **kwargs)
        except ConflictError as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(request.get_full_path())

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        """Also: no editing in the list, which shows no versions."""
        own: Any = super()
        found: list[checks.CheckMessage] = own.check(**kwargs)
        if getattr(self, "list_editable", ()):
            found.append(
                checks.Error(
                    f"list_editable of {type(self).__name__} would overwrite what others save.",
                    hint="Edit versioned rows on their own pages: remove list_editable.",
                    obj=type(self),
                    id="concord.E032",
                )
            )
        return found


def _meanwhile(form: VersionedForm, shown: dict[str, Any]) -> str:
    who = _who(form.instance, datetime.fromtimestamp(shown["at"], UTC))
    told = f"Nothing was saved: since this page was opened, {who} saved it"
    differing = [
        f"{form.fields[name].label or name} is now {form.initial.get(name)!r}"
        for name in form.changed_data
        if name != SHOWN and name in form.fields
    ]
    if differing:
        told += f". Unlike here, {', '.join(differing)}"
    return f"{told}. Open the page again to go on from there."


def _who(row: Model, since: datetime) -> str:
    entry = (
        LogEntry.objects.filter(
            content_type=ContentType.objects.get_for_model(row, for_concrete_model=False),
            object_id=str(row.pk),
            action_time__gte=since,
        )
        .select_related("user")
        .order_by("-action_time")
        .first()
    )
    return "somebody else" if entry is None else entry.user.get_username()
