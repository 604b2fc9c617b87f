"""The conserved total while a transaction is applied in one database and prepared in the other."""

import pytest
from django.db import connections

from examples.bank.homes import ALIASES
from examples.bank.models import Account
from examples.bank.panel import TotalPanel
from examples.bank.seeding import seed
from examples.bank.totals import NotSettledError, settled_total, total

pytestmark = pytest.mark.django_db(databases=["default", *ALIASES], transaction=True)


def execute(*statements: str) -> None:
    with connections["bank_b"].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture
def half_applied():
    """A payment of 700 cents from account 2 that bank_b has prepared but not applied."""
    seed(4)
    execute(
        "BEGIN",
        "UPDATE bank_account SET checking = checking + 700 WHERE id = 1",
        "PREPARE TRANSACTION 'cc:half-applied:2'",
    )
    Account.objects.using("bank_a").filter(pk=2).update(checking=49_300)
    yield
    execute("COMMIT PREPARED 'cc:half-applied:2'")


def test_money_applied_in_one_database_only_is_in_flight(half_applied):
    assert total().in_flight == 700
    assert not total().conserved


def test_a_total_with_a_prepared_branch_is_not_settled(half_applied):
    with pytest.raises(NotSettledError, match="1 prepared branches"):
        settled_total(wait=0)


def test_the_panel_counts_the_prepared_branch(half_applied):
    rows = TotalPanel().rows()

    assert rows[1]["value"] == "7.00, 1 prepared branch"


def test_a_quiet_total_is_settled_and_whole():
    seed(4)

    assert settled_total().conserved


def test_lost_money_is_settled_but_not_conserved():
    seed(4)
    Account.objects.using("bank_b").filter(pk=1).update(savings=0)

    assert settled_total().in_flight == 50_000
