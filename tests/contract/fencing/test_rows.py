"""Many fenced rows at once, and rows that go with others."""

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core import checks
from django.db import transaction
from django.db.models import F

from coordination.exceptions import InvalidArgument, StaleToken
from coordination.fencing.deleting import cascading
from coordination.models import UNFENCED
from tests.guarded.models import Account, LooseAccount, Owner, Savings

Rows = Any


@pytest.fixture
def rows(using: str) -> Rows:
    """Three accounts, the second of which has the newest token."""
    for balance, token in ((1, 5), (2, 9), (3, 5)):
        Account(balance=balance).save(token=token, using=using)
    return Account.objects.using(using)


def balances(rows: Rows) -> list[int]:
    return list(rows.order_by("pk").values_list("balance", flat=True))


WRITES: dict[str, Callable[[Rows], Any]] = {
    "update": lambda rows: rows.update(balance=0),
    "aupdate": lambda rows: async_to_sync(rows.aupdate)(balance=0),
    "delete": lambda rows: rows.delete(),
    "adelete": lambda rows: async_to_sync(rows.adelete)(),
    "create": lambda rows: rows.create(balance=0),
    "get_or_create": lambda rows: rows.get_or_create(balance=1),
    "update_or_create": lambda rows: rows.update_or_create({"balance": 0}, balance=1),
    "bulk_create": lambda rows: rows.bulk_create([Account()]),
    "bulk_update": lambda rows: rows.bulk_update(list(rows.all()), ["balance"]),
}


@pytest.mark.parametrize("verb", WRITES)
def test_a_queryset_writes_nothing_without_a_token(rows: Rows, verb: str) -> None:
    with pytest.raises(InvalidArgument, match=r"call \.fenced\(grant\)"):
        WRITES[verb](rows)
    assert balances(rows) == [1, 2, 3]


@pytest.mark.parametrize("verb", ["update", "delete", "bulk_update"])
def test_all_rows_are_written_or_none(rows: Rows, verb: str, using: str) -> None:
    with transaction.atomic(using=using):
        with pytest.raises(StaleToken, match="written with token 9; 8 is older"):
            WRITES[verb](rows.fenced(8))
        assert balances(rows) == [1, 2, 3]
    assert list(rows.order_by("pk").values_list("fence_token", flat=True)) == [5, 9, 5]


def test_rows_are_written_with_the_token(rows: Rows) -> None:
    assert rows.filter(balance__lt=3).fenced(9).update(balance=F("balance") + 10) == 2
    assert balances(rows) == [11, 12, 3]
    assert list(rows.order_by("pk").values_list("fence_token", flat=True)) == [9, 9, 5]
    assert rows.fenced(9).filter(balance=3).delete()[0] == 1
    assert rows.fenced(UNFENCED).update(balance=7) == 2
    assert set(rows.values_list("fence_token", "balance")) == {(9, 7)}


def test_conditions_over_other_tables_hold(rows: Rows, using: str) -> None:
    rich = Owner.objects.using(using).create(name="rich")
    rows.fenced(9).filter(balance__gt=1).update(owner=rich)

    assert rows.fenced(9).filter(owner__name="rich").update(balance=100) == 2
    with pytest.raises(StaleToken):
        rows.fenced(8).filter(owner__name="rich").update(balance=1)
    assert balances(rows) == [1, 100, 100]


def test_bulk_verbs_store_the_token(rows: Rows) -> None:
    (new,) = rows.fenced(6).bulk_create([Account(balance=4)])
    with pytest.raises(InvalidArgument, match="update_conflicts"):
        rows.fenced(6).bulk_create(
            [Account(pk=1)], update_conflicts=True, update_fields=["balance"], unique_fields=["pk"]
        )
    everyone = list(rows.all())
    for each in everyone:
        each.balance *= 2
    assert rows.fenced(10).bulk_update(everyone, ["balance"]) == 4
    assert (new.fence_token, {each.fence_token for each in everyone}) == (6, {10})
    assert balances(rows) == [2, 4, 6, 8]


def test_finding_or_making_a_row_takes_the_token(rows: Rows) -> None:
    made, created = rows.fenced(6).get_or_create(name="new", defaults={"balance": 5})
    assert (created, made.fence_token) == (True, 6)
    made, created = rows.fenced(7).update_or_create(name="new", defaults={"balance": 6})
    assert (created, made.fence_token, made.balance) == (False, 7, 6)
    with pytest.raises(StaleToken):
        rows.fenced(6).update_or_create(name="new", defaults={"balance": 7})
    assert rows.get(name="new").balance == 6
    assert rows.fenced(6).create(balance=1).fence_token == 6


def test_the_token_itself_is_not_for_users_to_set(rows: Rows) -> None:
    with pytest.raises(InvalidArgument, match="fence_token"):
        rows.fenced(UNFENCED).update(fence_token=1)
    with pytest.raises(InvalidArgument, match="fence_token"):
        rows.fenced(9).bulk_update(list(rows), ["fence_token"])


def test_rows_of_two_tables_are_written_or_none(using: str) -> None:
    for rate, token in ((1, 5), (2, 9)):
        Savings(rate=rate).save(token=token, using=using)
    savings = Savings.objects.using(using)

    with pytest.raises(StaleToken):
        savings.fenced(8).update(rate=0, balance=1)
    with pytest.raises(StaleToken):
        savings.fenced(8).delete()
    assert savings.fenced(9).update(rate=3, balance=4) == 2
    assert set(savings.values_list("rate", "balance", "fence_token")) == {(3, 4, 9)}
    assert savings.fenced(9).delete()[0] == 4


def test_a_cascade_says_with_which_token(rows: Rows, using: str) -> None:
    owner = Owner.objects.using(using).create(name="o")
    rows.fenced(9).filter(balance=2).update(owner=owner)

    with pytest.raises(InvalidArgument, match="with cascading"):
        owner.delete()
    with pytest.raises(StaleToken), cascading(8):
        owner.delete()
    assert Owner.objects.using(using).exists()
    with cascading(9):
        owner.delete()
    assert balances(rows) == [1, 3]


def test_django_s_own_updates_are_refused_too(rows: Rows, using: str) -> None:
    owner = Owner.objects.using(using).create(name="o")
    with pytest.raises(InvalidArgument, match="needs a token"):
        owner.accounts.add(rows.first())
    rows.fenced(9).filter(balance=2).update(patron=owner)
    with pytest.raises(InvalidArgument, match="needs a token"):
        owner.delete()
    with pytest.raises(StaleToken), cascading(8):
        owner.delete()
    with cascading(9):
        owner.delete()
    assert not rows.filter(patron__isnull=False).exists()


def test_a_row_that_nothing_fenced_hangs_on_is_deleted_as_ever(rows: Rows, using: str) -> None:
    Owner.objects.using(using).create(name="o").delete()
    assert not Owner.objects.using(using).exists()


def test_a_manager_that_would_write_without_a_token_is_a_check_error() -> None:
    found = [each.id for each in LooseAccount.check() if isinstance(each, checks.Error)]
    assert "concord.E030" in found
    assert [each for each in Account.check() if each.id == "concord.E030"] == []
