"""When everything that was decided is applied as well, which a chunk's time includes."""

import time
from collections.abc import Callable

from django.db import connection

PAUSE_S, PATIENCE_S = 0.002, 20
UNENDED = "SELECT count(*) FROM concord_transaction WHERE next_at IS NOT NULL"
PREPARED = "SELECT count(*) FROM pg_prepared_xacts"


class NeverApplied(Exception):
    """Something was left behind."""


def unended() -> int:
    """Transactions of Concord that have not ended."""
    return _count(UNENDED)


def prepared() -> int:
    """Transactions that are still prepared, in any database."""
    return _count(PREPARED)


def wait_for_none(left: Callable[[], int]) -> None:
    """Return once `left()` is 0. Raises NeverApplied after `PATIENCE_S`."""
    due = time.monotonic() + PATIENCE_S
    while count := left():
        if time.monotonic() > due:
            raise NeverApplied(f"{count} transactions have not ended after {PATIENCE_S} s")
        time.sleep(PAUSE_S)


def _count(sql: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        count: int = cursor.fetchone()[0]
    return count
