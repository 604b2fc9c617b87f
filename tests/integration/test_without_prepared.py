"""A server that cannot prepare, or cannot now: its branch is voted down, and nothing is lost."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from django.core.management import call_command
from django.db import connections

from config.servers import Servers
from coordination import checks, distributed_transaction, participant
from coordination.exceptions import TransactionAborted
from coordination.transactions import participants
from coordination.transactions.tables import Transaction
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import ledger

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

BARE = "bare"


@pytest.fixture(autouse=True)
def _ledgers(transactional_db: None) -> Iterator[None]:
    with ledger.ledgers():
        yield


@pytest.fixture
def bare_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Another PostgreSQL as its maker ships it: max_prepared_transactions = 0."""
    for variable in ("DATABASE_URL", "BANK_A_URL", "BANK_B_URL"):
        monkeypatch.delenv(variable)
    with Servers("postgresql") as servers:
        program = psutil.Process(servers.pid("postgresql")).cmdline()
        configuration = Path(program[program.index("-D") + 1]) / "postgresql.conf"
        with configuration.open("a") as settings:
            settings.write("max_prepared_transactions = 0\n")
        servers.restart("postgresql")
        yield servers.environment["BANK_A_URL"]


@pytest.fixture
def bare(bare_server: str, transactional_db: None) -> Iterator[str]:
    """That server as a database alias with a participant, gone after the test."""
    url = urlsplit(bare_server)
    entry = connections["bank_a"].settings_dict | {
        "NAME": url.path[1:],
        "USER": url.username,
        "PASSWORD": url.password,
        "PORT": url.port,
    }
    connections.settings[BARE] = entry
    before = dict(participants._registry)
    participant("test.bare", using=BARE)(
        lambda ctx: ledger.execute(BARE, "UPDATE ledger SET amount = amount + 1")
    )
    call_command("migrate", "coordination", database=BARE, verbosity=0)
    ledger.execute(BARE, "CREATE TABLE ledger AS SELECT 1 AS id, 100 AS amount")
    try:
        yield BARE
    finally:
        participants._registry.clear()
        participants._registry.update(before)
        connections[BARE].close()
        del connections[BARE], connections.settings[BARE]


def test_a_server_without_prepared_transactions_is_a_no_and_a_failed_check(bare: str) -> None:
    with pytest.raises(TransactionAborted, match="prepared transactions are disabled"):
        with distributed_transaction("bare") as tx:
            tx.enlist("test.bare")
            tx.enlist("test.a.add", cents=1)

    row = Transaction.objects.get(gid=tx.gid)
    assert (row.outcome, row.ended_at is not None) == ("aborted", True)
    assert (ledger.amount(bare), ledger.amount("bank_a")) == (100, 100)
    assert connections[bare].get_autocommit()
    told = [message.id for message in checks.check_servers(None, databases=[bare])]
    assert "concord.E122" in told

    with distributed_transaction("bare") as alone:
        alone.enlist("test.bare")
    assert (alone.result(), ledger.amount(bare)) == ("committed", 101)


def test_a_server_with_no_slot_left_is_a_no_and_recovers_by_itself() -> None:
    most = int(ledger.execute("bank_b", "SHOW max_prepared_transactions")[0][0])
    for number in range(most):
        ledger.execute("bank_b", "BEGIN")
        ledger.execute("bank_b", f"PREPARE TRANSACTION 'test-{number}'")

    with pytest.raises(TransactionAborted, match="maximum number of prepared transactions"):
        with distributed_transaction("full") as tx:
            tx.enlist("test.a.add", cents=1)
            tx.enlist("test.b.add", cents=1)
    assert Transaction.objects.get(gid=tx.gid).ended_at is not None

    ledger.sweep_prepared("bank_b")
    with distributed_transaction("free") as tx:
        tx.enlist("test.a.add", cents=1)
        tx.enlist("test.b.add", cents=1)
    assert (ledger.amount("bank_a"), ledger.amount("bank_b")) == (101, 101)
