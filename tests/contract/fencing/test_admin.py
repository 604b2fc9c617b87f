"""Fenced rows in Django's admin, which holds no lock."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import path

from coordination.fencing.admin import FencedAdmin
from tests.guarded.models import Account, Owner


class AccountInline(admin.TabularInline):
    model = Account
    fk_name = "owner"
    fields = ("name",)
    extra = 0


class AccountAdmin(FencedAdmin, admin.ModelAdmin):
    fields = ("name", "balance")


class OwnerAdmin(FencedAdmin, admin.ModelAdmin):
    inlines = (AccountInline,)


site = admin.AdminSite()
site.register(Account, AccountAdmin)
site.register(Owner, OwnerAdmin)
urlpatterns = [path("admin/", site.urls)]


@pytest.fixture
def client(on_postgresql: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


pytestmark = pytest.mark.urls(__name__)


def account() -> Account:
    row = Account(name="a", balance=1)
    row.save(token=5)
    return row


def stands() -> list[tuple[str, int, int]]:
    return list(Account.objects.values_list("name", "balance", "fence_token"))


def test_the_admin_saves_without_a_token_and_leaves_the_one_that_stands(client: Client) -> None:
    row = account()

    page = client.post(f"/admin/guarded/account/{row.pk}/change/", {"name": "b", "balance": 2})

    assert page.status_code == 302
    assert stands() == [("b", 2, 5)]


def test_the_admin_adds_and_deletes(client: Client) -> None:
    client.post("/admin/guarded/account/add/", {"name": "new", "balance": 3})
    assert stands() == [("new", 3, 0)]
    first, second = Account.objects.get(), account()

    client.post(f"/admin/guarded/account/{first.pk}/delete/", {"post": "yes"})
    assert stands() == [("a", 1, 5)]
    client.post(
        "/admin/guarded/account/",
        {"action": "delete_selected", "_selected_action": second.pk, "post": "yes"},
    )
    assert stands() == []


def test_inline_rows_and_what_hangs_on_a_row(client: Client) -> None:
    owner = Owner.objects.create(name="o")
    row = account()
    Account.objects.fenced(5).update(owner=owner)
    form = {
        "name": "o",
        "accounts-TOTAL_FORMS": "2",
        "accounts-INITIAL_FORMS": "1",
        "accounts-0-id": str(row.pk),
        "accounts-0-owner": str(owner.pk),
        "accounts-0-name": "b",
        "accounts-1-owner": str(owner.pk),
        "accounts-1-name": "new",
    }
    page = client.post(f"/admin/guarded/owner/{owner.pk}/change/", form)
    assert page.status_code == 302
    assert stands() == [("b", 1, 5), ("new", 0, 0)]

    form |= {"accounts-0-DELETE": "on", "accounts-TOTAL_FORMS": "1"}
    client.post(f"/admin/guarded/owner/{owner.pk}/change/", form)
    assert stands() == [("new", 0, 0)]
    client.post(f"/admin/guarded/owner/{owner.pk}/delete/", {"post": "yes"})
    assert stands() == []
