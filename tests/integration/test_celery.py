"""Transactions whose participants run in real Celery workers, on each broker."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from config.servers import Servers
from coordination.transactions import orphans
from coordination.transactions.tables import Transaction
from examples.bank.totals import settled_total
from tests.stack import Stack, wait_until

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "bank_a", "bank_b"])


@pytest.fixture(params=["redis", "rabbitmq"])
def stack(
    request: pytest.FixtureRequest, process_environment: dict[str, str], servers: Servers
) -> Iterator[Stack]:
    """Workers and sweeper on one broker."""
    environment = {**process_environment, "BROKER": request.param}
    if request.param == "rabbitmq":
        environment["RABBITMQ_URL"] = request.getfixturevalue("rabbitmq_url")
    running = Stack(servers, environment)
    running.start("prepare", "finish", "sweep")
    try:
        yield running
    finally:
        running.stop()


def test_workers_vote_commit_abort_and_finish(stack: Stack) -> None:
    command = ["manage.py", "demo", "--rate", "20", "--seconds", "4", "--json", "--accounts", "20"]
    done = subprocess.run(
        [sys.executable, *command],
        env=dict(stack.environment),
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    summary = json.loads(done.stdout.splitlines()[-1])
    wait_until(
        "every transaction ended",
        lambda: not Transaction.objects.filter(ended_at__isnull=True).exists(),
    )

    outcomes = set(Transaction.objects.values_list("outcome", flat=True))
    assert outcomes == {"committed", "aborted"}, summary
    assert settled_total().conserved
    assert not any(orphans.prepared(using) for using in orphans.aliases())
