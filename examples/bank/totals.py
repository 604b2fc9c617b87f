"""The conserved total of the bank: what there is, what there should be, and what is under way.

Each database's sum is one statement and hence one snapshot. The two snapshots are not one: a
transaction that is decided but applied in only one database, or that was applied between the two
reads, leaves the sums apart by what it moves. That difference is `Total.in_flight`; it is no loss
while transactions run. `settled_total` waits until nothing is under way, and then it must be zero.
"""

import time
from dataclasses import dataclass

from django.db import connections

from examples.bank import money
from examples.bank.homes import ALIASES

POLL_S = 0.05

_SUMS = """
SELECT count(*),
       coalesce(sum(savings), 0)::bigint,
       coalesce(sum(checking), 0)::bigint,
       coalesce(sum(fees), 0)::bigint,
       (SELECT coalesce(sum(cash), 0)::bigint FROM bank_drawer)
  FROM bank_account
"""

_PREPARED = """
SELECT count(*) FROM pg_prepared_xacts
 WHERE database = current_database() AND gid LIKE 'cc:%'
"""


class NotSettledError(Exception):
    """Transactions of the bank were still under way when the wait ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """What one database holds, in cents, as of one snapshot."""

    alias: str
    accounts: int
    savings: int
    checking: int
    fees: int
    cash: int

    @property
    def cents(self) -> int:
        return self.savings + self.checking + self.fees + self.cash


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """What all databases hold together, in cents."""

    sums: tuple[Sum, ...]

    @property
    def cents(self) -> int:
        return sum(part.cents for part in self.sums)

    @property
    def expected(self) -> int:
        """What the accounts opened with: what the total is when nothing is under way."""
        return sum(part.accounts for part in self.sums) * money.OPENING

    @property
    def in_flight(self) -> int:
        """What left one database and is not seen in the other; negative if seen twice."""
        return self.expected - self.cents

    @property
    def conserved(self) -> bool:
        return self.in_flight == 0


def total(using: tuple[str, ...] = ALIASES) -> Total:
    """Read the sum of each database, one snapshot each, one after the other."""
    return Total(sums=tuple(_read_sum(alias) for alias in using))


def settled_total(using: tuple[str, ...] = ALIASES, *, wait: float = 10) -> Total:
    """Read the total while nothing is under way; the load must have stopped.

    A transaction applied in one database only is still prepared in the other, so the reading
    counts if no database held a prepared branch before and after it and nothing moved between.

    Raises:
        NotSettledError: branches were still prepared, or balances moved, for `wait` seconds.
    """
    give_up_at = time.monotonic() + wait
    before = None
    while True:
        prepared = sum(count_prepared(alias) for alias in using)
        now = total(using)
        if prepared == 0 and now == before:
            return now
        if time.monotonic() >= give_up_at:
            raise NotSettledError(
                f"after {wait} s: {prepared} prepared branches, total {now.cents}"
            )
        before = now if prepared == 0 else None
        time.sleep(POLL_S)


def count_prepared(alias: str) -> int:
    """How many branches of distributed transactions one database holds prepared."""
    (count,) = _fetch_row(alias, _PREPARED)
    return count


def _read_sum(alias: str) -> Sum:
    accounts, savings, checking, fees, cash = _fetch_row(alias, _SUMS)
    return Sum(
        alias=alias, accounts=accounts, savings=savings, checking=checking, fees=fees, cash=cash
    )


def _fetch_row(alias: str, statement: str) -> tuple[int, ...]:
    with connections[alias].cursor() as cursor:
        cursor.execute(statement)
        return tuple(cursor.fetchone())
