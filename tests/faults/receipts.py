"""Participants that commit by themselves: one alone, or the last agent behind a prepared one.

Each leaves one row under the transaction's id, so that an outcome without its work, work without
its outcome and work done twice all show. Workers load this module with `--include`.
"""

from coordination import participant
from coordination.transactions.context import Context
from coordination.transactions.tables import Transaction
from tests.integration.ledger import execute

ALONE = ("bank_a",)
LAST_AGENT = ("bank_a", "default")
KINDS = {"alone": ALONE, "last-agent": LAST_AGENT}
"""Name of the transaction → databases it leaves a receipt in."""


def create_tables() -> None:
    for using in LAST_AGENT:
        execute(using, "CREATE TABLE receipt (gid text NOT NULL)")


def drop_tables() -> None:
    for using in LAST_AGENT:
        execute(using, "DROP TABLE IF EXISTS receipt")


def branches(kind: str) -> list[dict[str, object]]:
    """What the task `coordination.transaction.begin` takes."""
    return [{"participant": f"test.receipt.{using}", "args": {}} for using in KINDS[kind]]


def found(using: str, kind: str) -> list[str]:
    """Ids of the receipts of one kind of transaction, in order, doubles and all."""
    gids = set(Transaction.objects.filter(name=kind).values_list("gid", flat=True))
    return sorted(gid for (gid,) in execute(using, "SELECT gid FROM receipt") if gid in gids)


def owed(kind: str) -> list[str]:
    """Ids of the committed transactions of one kind, in order."""
    committed = Transaction.objects.filter(name=kind, outcome="committed")
    return sorted(committed.values_list("gid", flat=True))


@participant("test.receipt.bank_a", using="bank_a")
def receipt_a(ctx: Context) -> None:
    execute("bank_a", "INSERT INTO receipt VALUES (%s)", ctx.gid)


@participant("test.receipt.default", using="default")
def receipt_here(ctx: Context) -> None:
    execute("default", "INSERT INTO receipt VALUES (%s)", ctx.gid)
