"""The bench's participants: each does one UPDATE by a cursor of Django's."""

from django.db import connections

from bench.rows import UPDATE
from coordination import participant
from coordination.transactions.context import Context


def _add_one(using: str, row: int) -> None:
    with connections[using].cursor() as cursor:
        cursor.execute(UPDATE, (row,))


@participant("bench.inline.a", using="bank_a")
@participant("bench.worker.a", using="bank_a")
def add_a(ctx: Context, row: int) -> None:
    _add_one("bank_a", row)


@participant("bench.inline.b", using="bank_b")
@participant("bench.worker.b", using="bank_b")
def add_b(ctx: Context, row: int) -> None:
    _add_one("bank_b", row)


@participant("bench.inline.home", using="default")
def add_home(ctx: Context, row: int) -> None:
    """In the coordinator's own database, so it may be the last agent."""
    _add_one("default", row)
