"""Versioned rows in Django's admin: two people open the same page."""

import re
from typing import Any

import pytest
from django import forms
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db.models.signals import pre_save
from django.test import Client
from django.urls import path

from coordination.versions.admin import SHOWN, VersionedAdmin
from tests.contract.threads import at_once
from tests.guarded.models import Document, Letter, Note

HIDDEN = re.compile(rf'<input type="hidden" name="{SHOWN}" value="([^"]+)"')


class DocumentAdmin(VersionedAdmin, admin.ModelAdmin):
    fields = ("title", "text")


class LetterAdmin(VersionedAdmin, admin.ModelAdmin):
    fieldsets = ((None, {"fields": ("title",)}), ("More", {"fields": (("to", "text"),)}))


class ShoutingForm(forms.ModelForm):
    def clean_title(self) -> str:
        return str(self.cleaned_data["title"]).upper()


class NoteAdmin(VersionedAdmin, admin.ModelAdmin):
    form = ShoutingForm
    exclude = ("owner",)


site = admin.AdminSite()
site.register(Document, DocumentAdmin)
site.register(Letter, LetterAdmin)
site.register(Note, NoteAdmin)
urlpatterns = [path("admin/", site.urls)]
pytestmark = pytest.mark.urls(__name__)


def person(name: str) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser(name))
    return client


@pytest.fixture
def alice(on_postgresql: None) -> Client:
    return person("alice")


@pytest.fixture
def bob(on_postgresql: None) -> Client:
    return person("bob")


def url(row: Document, page: str = "change") -> str:
    return f"/admin/guarded/{row._meta.model_name}/{row.pk}/{page}/"


def opened(client: Client, row: Document) -> dict[str, str]:
    """What a browser would post from the page as it was opened."""
    found = HIDDEN.search(client.get(url(row)).content.decode())
    assert found, "the page does not carry the version"
    return {SHOWN: found[1], "title": row.title, "text": row.text, "count": "0", "to": "x"}


@pytest.mark.parametrize("model", [Document, Letter, Note])
def test_a_page_opened_before_somebody_else_saved_overwrites_nothing(
    alice: Client, bob: Client, model: type[Document]
) -> None:
    row = model.objects.create(title="old")
    first, second = opened(alice, row), opened(bob, row)

    assert alice.post(url(row), first | {"title": "FIRST"}).status_code == 302
    refused = bob.post(url(row), second | {"title": "SECOND"})

    assert refused.status_code == 200
    told = refused.content.decode()
    assert "Nothing was saved: since this page was opened, alice saved it" in told
    assert "Title is now" in told
    row.refresh_from_db()
    assert (row.title, row.version) == ("FIRST", 2)
    # Sending the same page again changes nothing; opening it again does.
    assert bob.post(url(row), second | {"title": "SECOND"}).status_code == 200
    assert bob.post(url(row), opened(bob, row) | {"title": "SECOND"}).status_code == 302
    row.refresh_from_db()
    assert (row.title, row.version) == ("SECOND", 3)


def test_somebody_who_saved_past_the_admin_is_noticed_too(alice: Client) -> None:
    row = Document.objects.create(title="old")
    page = opened(alice, row)
    Document.objects.update(text="new")

    told = alice.post(url(row), page | {"title": "mine"}).content.decode()
    assert "somebody else saved it" in told


@pytest.mark.parametrize("signed", ["", "1", "eyJ2ZXJzaW9uIjoxfQ:x:y"])
def test_a_page_without_the_version_or_with_a_forged_one_saves_nothing(
    alice: Client, signed: str
) -> None:
    row = Document.objects.create(title="old")
    page = opened(alice, row) | {SHOWN: signed, "title": "forged"}

    assert b"does not say which version" in alice.post(url(row), page).content
    other = Document.objects.create(title="other")
    page = opened(alice, other) | {"title": "forged"}
    assert b"does not say which version" in alice.post(url(row), page).content
    assert Document.objects.get(pk=row.pk).title == "old"


def test_who_saves_between_the_check_and_the_write_is_not_overwritten(alice: Client) -> None:
    row = Document.objects.create(title="old")
    page = opened(alice, row) | {"title": "mine"}
    between = iter([1])

    def save(**_: Any) -> None:
        if next(between, None):
            at_once(lambda: Document.objects.filter(pk=row.pk).update(title="theirs"))

    pre_save.connect(save, sender=Document)
    try:
        refused = alice.post(url(row), page)
    finally:
        pre_save.disconnect(save, sender=Document)

    assert b"Nothing was saved" in refused.content
    row.refresh_from_db()
    assert (row.title, row.version) == ("theirs", 2)


def test_adding_and_deleting_work_as_ever(alice: Client) -> None:
    assert alice.post("/admin/guarded/document/add/", {"title": "new"}).status_code == 302
    row = Document.objects.get()
    assert (row.title, row.version) == ("new", 1)
    assert alice.post(url(row, "delete"), {"post": "yes"}).status_code == 302
    assert not Document.objects.exists()
    assert LogEntry.objects.count() == 2


def test_editing_in_the_list_is_a_check_error() -> None:
    class Listed(VersionedAdmin, admin.ModelAdmin):
        list_display = ("id", "title")
        list_editable = ("title",)

    assert [each.id for each in Listed(Document, site).check()] == ["concord.E032"]
    assert DocumentAdmin(Document, site).check() == []
