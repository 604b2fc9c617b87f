"""kill -9 at every named step under load: everything ends, the books balance, nothing is left."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections

from config.servers import Servers
from coordination.observing.records import Verdict, Violation
from coordination.transactions.tables import Transaction
from tests.faults import receipts
from tests.faults.crash_run import EVERY_KILL, CrashRun, Kill, sample
from tests.stack import wait_until

pytestmark = [
    pytest.mark.alone,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.django_db(transaction=True, databases=["default", "bank_a", "bank_b"]),
]
SEED = 20261123


@pytest.fixture
def run(
    request: pytest.FixtureRequest,
    servers: Servers,
    process_environment: dict[str, str],
    tmp_path: Path,
) -> Iterator[CrashRun]:
    broker = request.param
    environment = {**process_environment, "BROKER": broker}
    if broker == "rabbitmq":
        environment["RABBITMQ_URL"] = request.getfixturevalue("rabbitmq_url")
    running = CrashRun(servers, environment, tmp_path)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        connections.close_all()


def check(run: CrashRun, kills: tuple[Kill, ...]) -> None:
    run.perform(kills)
    took_s = run.settle()
    ended = Transaction.objects.filter(ended_at__isnull=False).count()
    print(f"{len(kills)} kills, {ended} transactions, all ended {took_s:.1f} s after the last")
    wait_until("every ended transaction audited", lambda: audited() == ended)

    assert run.left_prepared() == []
    assert run.conserved()
    for kind, databases in receipts.KINDS.items():
        assert receipts.owed(kind)
        assert all(receipts.found(using, kind) == receipts.owed(kind) for using in databases)
    assert list(Violation.objects.values_list("gid", "kind", "sentence")) == []
    assert Verdict.objects.get(name="atomicity").state == "HOLDS"
    assert not Transaction.objects.exclude(heuristic="").exists()


def audited() -> int:
    return Transaction.objects.filter(audited_at__isnull=False).count()


@pytest.mark.parametrize("run", ["redis"], indirect=True)
def test_every_victim_at_every_step_leaves_the_books_balanced(run: CrashRun) -> None:
    kills = list(EVERY_KILL)
    random.Random(SEED).shuffle(kills)

    check(run, tuple(kills))

    assert run.never_hit() == set()


@pytest.mark.parametrize("run", ["rabbitmq"], indirect=True)
def test_a_sample_of_kills_on_the_other_broker_leaves_the_books_balanced(run: CrashRun) -> None:
    check(run, sample(SEED, 16))
