"""A small table in each database, and participants that write to it, for tests of transactions."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

from coordination import TCC, Saga, participant
from coordination.transactions.context import Context

ALIASES = ("default", "bank_a", "bank_b")


@contextmanager
def ledgers() -> Iterator[None]:
    """Create the tables, one row of 100 in each, and drop them afterwards."""
    for using in ALIASES:
        execute(using, "CREATE TABLE ledger (id int PRIMARY KEY, amount int NOT NULL)")
        execute(using, "INSERT INTO ledger VALUES (1, 100)")
    try:
        yield
    finally:
        for using in ALIASES:
            sweep_prepared(using)
            execute(using, "DROP TABLE ledger")


def execute(using: str, sql: str, *params: Any) -> list[tuple[Any, ...]]:
    with connections[using].cursor() as cursor:
        cursor.execute(sql, params or None)
        return cursor.fetchall() if cursor.description else []


def amount(using: str) -> int:
    value: int = execute(using, "SELECT amount FROM ledger WHERE id = 1")[0][0]
    return value


def prepared(using: str) -> list[str]:
    sql = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
    return [row[0] for row in execute(using, sql)]


def sweep_prepared(using: str) -> None:
    for gid in prepared(using):
        execute(using, f"ROLLBACK PREPARED '{gid}'")


def add(ctx: Context, *, using: str, cents: int) -> None:
    execute(using, "UPDATE ledger SET amount = amount + %s WHERE id = 1", cents)
    if cents < -100:
        ctx.vote_no("insufficient funds")


@participant("test.a.add", using="bank_a")
def add_a(ctx: Context, cents: int) -> None:
    add(ctx, using="bank_a", cents=cents)


@participant("test.b.add", using="bank_b")
def add_b(ctx: Context, cents: int) -> None:
    add(ctx, using="bank_b", cents=cents)


@participant("test.home.add", using="default")
def add_home(ctx: Context, cents: int) -> None:
    add(ctx, using="default", cents=cents)


@participant("test.a.read", using="bank_a")
def read_a(ctx: Context) -> None:
    amount("bank_a")


class Hold(TCC):
    """Sets money aside in bank_b, then keeps or returns it."""

    name = "test.b.hold"
    using = "bank_b"

    def reserve(self, ctx: Context, cents: int) -> None:
        execute(self.using, "UPDATE ledger SET amount = amount - %s WHERE id = 1", cents)
        if cents > 100:
            ctx.vote_no("not enough to hold")

    def confirm(self, ctx: Context, cents: int) -> None:
        execute(self.using, "INSERT INTO ledger VALUES (2, %s)", cents)

    def cancel(self, ctx: Context, cents: int) -> None:
        execute(self.using, "UPDATE ledger SET amount = amount + %s WHERE id = 1", cents)


class Pay(Saga):
    """Takes money out of bank_b for everybody to see, and gives it back."""

    name = "test.b.pay"
    using = "bank_b"

    def action(self, ctx: Context, cents: int) -> None:
        execute(self.using, "UPDATE ledger SET amount = amount - %s WHERE id = 1", cents)

    def compensate(self, ctx: Context, cents: int) -> None:
        execute(self.using, "UPDATE ledger SET amount = amount + %s WHERE id = 1", cents)
