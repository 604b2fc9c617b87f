"""The demo's participants keep the contract, tested as a project would test its own."""

from collections.abc import Iterator

import pytest

from coordination.testing import participant_contract
from examples.bank import money
from examples.bank.homes import ALIASES, home_of
from examples.bank.models import Account
from examples.bank.seeding import seed
from tests.databases import _django_db_helper  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", *ALIASES])


@pytest.fixture(autouse=True)
def _accounts(transactional_db: None) -> Iterator[None]:
    seed(4)
    yield
    for using in ALIASES:
        Account.objects.using(using).all().delete()


def balances() -> dict[str, int]:
    rows = [Account.objects.using(home_of(number).alias).get(pk=number) for number in (2, 3)]
    return {f"{row.pk} {name}": getattr(row, name) for row in rows for name in NAMES}


NAMES = ("savings", "checking", "fees")

deposits = participant_contract(
    "bank.a.deposit",
    args=lambda: {"account": 2, "cents": 5},
    observe=balances,
    refused_args=lambda: {"account": 4_000_000, "cents": 5},
)
checks = participant_contract(
    "bank.b.write_check",
    args=lambda: {"account": 3, "cents": 5},
    observe=balances,
    refused_args=lambda: {"account": 3, "cents": money.CENTS_MAX},
)
