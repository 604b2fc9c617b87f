"""The bank's load while its databases go away and come back."""

import threading

import pytest
from django.conf import LazySettings
from django.db import connections

from config.servers import Servers
from coordination.transactions import sweeper
from examples.bank.homes import ALIASES
from examples.bank.load import Load
from examples.bank.seeding import seed
from examples.bank.statistics import Answer, Result
from examples.bank.totals import settled_total

pytestmark = pytest.mark.django_db(databases=["default", *ALIASES], transaction=True)


@pytest.fixture
def sweeping():
    """Bring to an end what the outage interrupted, or its locks would stop the next test."""
    stop = threading.Event()

    def sweep() -> None:
        try:
            sweeper.run(stop)
        finally:
            connections.close_all()

    thread = threading.Thread(target=sweep)
    thread.start()
    try:
        yield
        connections.close_all()
        settled_total(wait=30)
    finally:
        stop.set()
        thread.join()


def test_a_load_outlives_an_outage_and_no_money_is_lost(
    settings: LazySettings, servers: Servers, sweeping: None
):
    settings.COORDINATION = settings.COORDINATION | {"PARTICIPANTS": []}
    seed(20)
    committed = threading.Event()

    def note(answer: Answer) -> None:
        if answer.result is Result.COMMITTED:
            committed.set()

    with Load(rate=50, threads=4, accounts=20, deadline=3, on_answer=note) as load:
        assert committed.wait(30)
        servers.restart("postgresql")
        committed.clear()
        assert committed.wait(30)
    connections.close_all()  # this thread's were closed by the server

    assert load.in_flight == 0
    assert load.statistics().results[Result.FAILED] == 0
    assert settled_total(wait=60).conserved
