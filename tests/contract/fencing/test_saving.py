"""One fenced row: who may write it, and what is refused."""

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import IntegrityError, connections, transaction

from coordination.exceptions import ConflictError, InvalidArgument, StaleToken
from coordination.models import UNFENCED
from tests.guarded.models import Account, Savings, SmallAccount, Vault


def made(using: str, token: Any = 5, **values: Any) -> Account:
    account = Account(balance=10, **values)
    account.save(token=token, using=using)
    return account


def stands(using: str, account: Account) -> tuple[int, int]:
    row = Account.objects.using(using).get(pk=account.pk)
    return row.balance, row.fence_token


def test_a_write_stores_its_token(using: str) -> None:
    account = made(using, 5)
    account.balance = 11
    account.save(token=7)

    assert stands(using, account) == (11, 7)
    assert account.fence_token == 7


def test_a_writer_with_an_older_token_is_refused(using: str) -> None:
    late = made(using, 5)
    newer = Account.objects.using(using).get(pk=late.pk)
    newer.balance = 20
    newer.save(token=6)

    late.balance = 30
    with pytest.raises(
        StaleToken, match=r"guarded.Account \d+ was written with token 6; 5"
    ) as told:
        late.save(token=5)

    assert stands(using, late) == (20, 6)
    assert (told.value.applied, told.value.store) == (False, using)
    assert late.fence_token == 5  # the object is as it was


def test_the_same_holder_writes_again(using: str) -> None:
    account = made(using, 5)
    for balance in (1, 2):
        account.balance = balance
        account.save(token=5)

    assert stands(using, account) == (2, 5)


@pytest.mark.parametrize("fields", [["name"], ["balance", "fence_token"]])
def test_update_fields_are_compared_too(using: str, fields: list[str]) -> None:
    account = made(using, 5)
    with pytest.raises(StaleToken):
        account.save(token=4, update_fields=fields)
    account.balance, account.name = 12, "x"
    account.save(token=6, update_fields=["name"])

    assert stands(using, account) == (10, 6)


def test_a_row_that_is_read_in_part_is_compared_too(using: str) -> None:
    pk = made(using, 5).pk
    account = Account.objects.using(using).only("balance").get(pk=pk)
    account.balance = 13
    with pytest.raises(StaleToken):
        account.save(token=4)
    account.save(token=6)

    assert stands(using, account) == (13, 6)


def test_a_row_that_was_deleted_does_not_come_back(using: str) -> None:
    late = made(using, 5)
    Account.objects.using(using).get(pk=late.pk).delete(token=6)

    with pytest.raises(ConflictError, match="was deleted meanwhile"):
        late.save(token=7)
    assert not Account.objects.using(using).exists()


def test_inserting_stores_the_token_and_overwrites_nothing(using: str) -> None:
    account = made(using, 5)
    with pytest.raises(IntegrityError):
        Account(pk=account.pk).save(token=9, force_insert=True, using=using)
    with pytest.raises(StaleToken):
        Account(pk=account.pk).save(token=4, using=using)
    Account(pk=account.pk + 1, balance=3).save(token=4, using=using)

    assert Account.objects.using(using).get(pk=account.pk + 1).fence_token == 4
    assert stands(using, account) == (10, 5)


def test_unfenced_writes_and_leaves_the_token(using: str) -> None:
    account = made(using, 5)
    old = Account.objects.using(using).get(pk=account.pk)
    account.save(token=9)
    old.balance = 14
    old.save(token=UNFENCED)

    assert stands(using, account) == (14, 9)
    with pytest.raises(StaleToken):
        account.save(token=8)


@pytest.mark.parametrize(
    ("token", "match"),
    [
        (None, "needs a token: pass the grant"),
        (0, "from 1 to 2"),
        (-3, "from 1 to 2"),
        (2**53, "from 1 to 2"),
        (True, "from 1 to 2"),
        ("5", "a grant, its token or UNFENCED, not '5'"),
        (5.0, "not 5.0"),
    ],
)
def test_a_bad_token_is_refused_before_anything_is_sent(using: str, token: Any, match: str) -> None:
    account = made(using)
    with refused_unsent(using):
        for write in (
            lambda: account.save(token=token),
            lambda: account.delete(token=token),
            lambda: Account.objects.using(using).fenced(token),
        ):
            with pytest.raises(InvalidArgument, match=match):
                write()


def refused_unsent(using: str) -> Any:
    def refuse(*_: Any) -> None:
        pytest.fail("something was sent")

    return connections[using].execute_wrapper(refuse)


def test_no_token_is_an_error_however_it_is_saved(using: str) -> None:
    account = made(using)
    with refused_unsent(using):
        for save in (account.save, account.save_base, async_to_sync(account.asave)):
            with pytest.raises(InvalidArgument, match="needs a token"):
                save()


def test_asynchronous_code_saves_and_deletes_with_a_token(using: str) -> None:
    account = made(using, 5)

    async def work() -> None:
        with pytest.raises(StaleToken):
            await account.asave(token=4)
        with pytest.raises(StaleToken):
            await account.adelete(token=4)

    async_to_sync(work)()
    assert stands(using, account) == (10, 5)


@pytest.mark.parametrize(
    "write", [lambda each: each.save(token=4), lambda each: each.delete(token=4)]
)
def test_a_refusal_leaves_the_block_around_it_usable(
    using: str, write: Callable[[Any], None]
) -> None:
    account = made(using, 5)
    with transaction.atomic(using=using):
        with pytest.raises(StaleToken):
            write(account)
        account.balance = 15
        account.save(token=5)

    assert stands(using, account) == (15, 5)


def test_deleting_compares_tokens(using: str) -> None:
    account = made(using, 5)
    with pytest.raises(StaleToken):
        account.delete(token=4)
    twin = Account.objects.using(using).get(pk=account.pk)

    assert account.delete(token=5) == (1, {"guarded.Account": 1})
    assert twin.delete(token=6)[0] == 0


def test_a_child_table_is_compared_by_the_token_of_its_parent(using: str) -> None:
    savings = Savings(balance=1, rate=2)
    savings.save(token=5, using=using)
    for fields in (None, ["rate"], ["balance"]):
        savings.rate = savings.balance = 9
        with transaction.atomic(using=using):
            with pytest.raises(StaleToken):
                savings.save(token=4, update_fields=fields)
            assert Savings.objects.using(using).values_list("balance", "rate").get() == (1, 2)
    savings.save(token=6, update_fields=["rate"])

    assert Savings.objects.using(using).values_list("fence_token", "rate").get() == (6, 9)
    with pytest.raises(StaleToken):
        savings.delete(token=5)
    with pytest.raises(StaleToken):
        Account.objects.using(using).get().save(token=5)
    savings.delete(token=6)


def test_a_token_in_the_child_table_keeps_the_parent_from_being_written(using: str) -> None:
    vault = Vault(name="a", gold=1)
    vault.save(token=5, using=using)
    vault.name, vault.gold = "b", 2
    with transaction.atomic(using=using):
        with pytest.raises(StaleToken):
            vault.save(token=4)
        assert Vault.objects.using(using).values_list("name", "gold").get() == ("a", 1)
    with pytest.raises(StaleToken):
        vault.delete(token=4)
    vault.save(token=5)
    assert Vault.objects.using(using).values_list("name", "gold").get() == ("b", 2)


def test_a_proxy_is_the_same_row(using: str) -> None:
    account = made(using, 5)
    small = SmallAccount.objects.using(using).get(pk=account.pk)
    with pytest.raises(StaleToken):
        small.save(token=4)
    with pytest.raises(StaleToken):
        small.delete(token=4)
    with pytest.raises(StaleToken):
        SmallAccount.objects.using(using).fenced(4).update(balance=3)
    small.save(token=6)
    assert stands(using, account) == (10, 6)
