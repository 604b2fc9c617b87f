"""Opens the bank's accounts; running it again opens only those that are missing."""

from examples.bank.homes import DRAWERS, HOMES, home_of
from examples.bank.models import Account, Drawer


def seed(accounts: int) -> None:
    """Make sure accounts 1..`accounts` and the drawers exist; existing balances stay.

    Raises:
        ValueError: fewer than two accounts, so that one database would have none.
        django.db.OperationalError: a database is not reachable.
        django.db.ProgrammingError: a database is not migrated.
    """
    if accounts < 2:
        raise ValueError(f"accounts must be at least 2, not {accounts}")
    for home in HOMES:
        Account.objects.using(home.alias).bulk_create(
            (
                Account(id=number, name=f"Customer {number}")
                for number in range(1, accounts + 1)
                if home_of(number) == home
            ),
            ignore_conflicts=True,
            batch_size=500,
        )
        Drawer.objects.using(home.alias).bulk_create(
            (Drawer(id=number) for number in range(1, DRAWERS + 1)), ignore_conflicts=True
        )
