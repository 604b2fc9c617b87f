"""Makes what tests have left look as old as if the retention had passed since, and forgets it."""

from collections.abc import Sequence

from django.db import connections

from coordination.transactions import retention
from coordination.transactions.auditor import Auditor
from tests.integration import ledger
from tests.integration.observing import an_observer, drain

ALIASES = ("default", "bank_a", "bank_b")
DAYS = 8
"""More than the retention that tests have, and less than twice of it."""
ROWS = """
UPDATE concord_transaction SET created_at = created_at - %s * interval '1 day',
    deadline_at = deadline_at - %s * interval '1 day',
    decided_at = decided_at - %s * interval '1 day', ended_at = ended_at - %s * interval '1 day'"""
LEFT = "UPDATE {} SET at = at - %s * interval '1 day'"


def age(*, days: float = DAYS, aliases: Sequence[str] = ALIASES) -> None:
    """Let `days` pass for every transaction, and for what branches have left in `aliases`."""
    ledger.execute("default", ROWS, *[days] * 4)
    for using in aliases:
        for table in ("concord_witness", "concord_barrier"):
            ledger.execute(using, LEFT.format(table), days)
        sql = "UPDATE concord_witness SET seen_at = seen_at - %s * interval '1 day'"
        ledger.execute(using, sql, days)


def judge(*, node: str = "bank") -> None:
    """Let observer and auditor do their part."""
    drain(an_observer(None))
    while Auditor("default", node=node).step():
        pass


def forget() -> None:
    """Two rounds: what the first has left in a database, the second finds."""
    retention.run_once()
    retention.run_once()


def left(using: str) -> int:
    """How many witnesses and barriers there are."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM concord_witness) + (SELECT count(*) FROM concord_barrier)"
        )
        row = cursor.fetchone()
    assert row is not None
    return int(row[0])


def remembered() -> int:
    """How many rows, events and records of transactions there are."""
    return sum(
        ledger.execute("default", f"SELECT count(*) FROM {table}")[0][0]
        for table in (
            *("concord_transaction", "concord_branch", "concord_transaction_record"),
            "concord_event",
        )
    )
