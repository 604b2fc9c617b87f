"""The bank's load while its databases go away and come back."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections

from config.servers import Servers
from coordination.transactions import sweeper
from examples.bank.homes import ALIASES
from examples.bank.load import Load
from examples.bank.seeding import seed
from examples.bank.statistics import Answer, Result
from examples.bank.totals import settled_total
from tests.integration.bank_worker import bank_worker

pytestmark = pytest.mark.django_db(databases=["default", *ALIASES], transaction=True)


@pytest.fixture
def healing(process_environment: dict[str, str], tmp_path: Path) -> Iterator[None]:
    """A worker and a sweeper, until nothing is prepared: its locks would stop the next test."""
    stop = threading.Event()

    def sweep() -> None:
        try:
            sweeper.run(stop)
        finally:
            connections.close_all()

    thread = threading.Thread(target=sweep)
    thread.start()
    try:
        with bank_worker(process_environment, tmp_path / "worker.log"):
            yield
            connections.close_all()
            settled_total(wait=30)
    finally:
        stop.set()
        thread.join()


def test_a_load_outlives_an_outage_and_no_money_is_lost(servers: Servers, healing: None):
    seed(20)
    committed = threading.Event()

    def note(answer: Answer) -> None:
        if answer.result is Result.COMMITTED:
            committed.set()

    with Load(rate=50, threads=4, accounts=20, deadline=5, on_answer=note) as load:
        assert committed.wait(60)
        servers.restart("postgresql")
        committed.clear()
        assert committed.wait(30)
    connections.close_all()  # this thread's were closed by the server

    assert load.in_flight == 0
    assert load.statistics().results[Result.FAILED] == 0
    assert settled_total(wait=30).conserved
