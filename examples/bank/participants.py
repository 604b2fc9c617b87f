"""What one database does in a transaction of the bank: `bank.a.deposit`, `bank.b.withdraw`, …

The same seven bodies serve both databases. Each changes its row in one UPDATE whose WHERE clause
holds the rule, so there is no gap between looking and changing; only when it matched no row is the
reason looked up. `balance` writes nothing and so votes read-only. All amounts are integer cents.
"""

from typing import NoReturn

from django.db.models import Case, F, QuerySet, Value, When

from coordination import participant
from coordination.transactions.context import Context
from examples.bank import money
from examples.bank.homes import HOMES, Home, home_of
from examples.bank.models import Account, Drawer


class Books:
    """The books of one database of the bank; its methods are the participants' bodies.

    Each raises TypeError or ValueError for arguments no transaction of the bank has, before it
    touches the database; what the balances do not allow is voted down.
    """

    def __init__(self, home: Home) -> None:
        self.home = home

    def balance(self, ctx: Context, account: int) -> None:
        """Read both balances; votes read-only."""
        if self._row(account).values_list("savings", "checking").first() is None:
            ctx.vote_no(f"unknown account {account}")

    def deposit(self, ctx: Context, account: int, cents: int) -> None:
        """Add `cents` to checking."""
        _check_amount(cents)
        if not self._row(account).update(checking=F("checking") + cents):
            ctx.vote_no(f"unknown account {account}")

    def withdraw(self, ctx: Context, account: int, cents: int) -> None:
        """Take `cents` from checking if it holds as much."""
        _check_amount(cents)
        row = self._row(account).filter(checking__gte=cents)
        if not row.update(checking=F("checking") - cents):
            self._refuse(ctx, account, "insufficient funds")

    def transact_savings(self, ctx: Context, account: int, cents: int) -> None:
        """Add `cents`, of either sign, to savings, which stay at zero or above."""
        _check_amount(abs(_integer("cents", cents)))
        row = self._row(account).filter(savings__gte=-cents)
        if not row.update(savings=F("savings") + cents):
            self._refuse(ctx, account, "insufficient funds")

    def write_check(self, ctx: Context, account: int, cents: int) -> None:
        """Take `cents` from checking, and a fee if that is more than savings and checking hold."""
        _check_amount(cents)
        fee = Case(
            When(savings__lt=Value(cents) - F("checking"), then=Value(money.OVERDRAFT_FEE)),
            default=Value(0),
        )
        row = self._row(account).filter(checking__gte=fee + (cents - money.OVERDRAFT_LIMIT))
        if not row.update(checking=F("checking") - cents - fee, fees=F("fees") + fee):
            self._refuse(ctx, account, "insufficient funds")

    def close_out(self, ctx: Context, account: int, savings: int, checking: int) -> None:
        """Empty both balances if they are still as the caller read them."""
        if _integer("savings", savings) + _integer("checking", checking) <= 0:
            ctx.vote_no("insufficient funds")
        row = self._row(account).filter(savings=savings, checking=checking)
        if not row.update(savings=0, checking=0):
            self._refuse(ctx, account, "balance has moved")

    def cash(self, ctx: Context, drawer: int, cents: int) -> None:
        """Put `cents`, of either sign, into a drawer of cash."""
        _check_amount(abs(_integer("cents", cents)))
        row = Drawer.objects.using(self.home.alias).filter(pk=_integer("drawer", drawer))
        if not row.update(cash=F("cash") + cents):
            ctx.vote_no(f"unknown drawer {drawer}")

    def _row(self, account: int) -> QuerySet[Account]:
        if home_of(_integer("account", account)) != self.home:
            raise ValueError(f"account {account} does not live in {self.home.alias}")
        return Account.objects.using(self.home.alias).filter(pk=account)

    def _refuse(self, ctx: Context, account: int, reason: str) -> NoReturn:
        if self._row(account).exists():
            ctx.vote_no(reason)
        ctx.vote_no(f"unknown account {account}")


def _integer(name: str, value: int) -> int:
    if type(value) is not int:
        raise TypeError(f"{name} must be an integer, not {value!r}")
    return value


def _check_amount(cents: int) -> None:
    if not 0 < _integer("cents", cents) <= money.CENTS_MAX:
        raise ValueError(f"cents must be within 1..{money.CENTS_MAX}, not {cents}")


for _home in HOMES:
    _books = Books(_home)
    for _body in (
        _books.balance,
        _books.deposit,
        _books.withdraw,
        _books.transact_savings,
        _books.write_check,
        _books.close_out,
        _books.cash,
    ):
        participant(f"bank.{_home.letter}.{_body.__name__}", using=_home.alias, mode="xa")(_body)
