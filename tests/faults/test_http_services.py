"""Transfers between a service and a database of ours, while answers are lost and services die."""

import random
import signal
from collections.abc import Iterator

import pytest
from django.conf import settings as django_settings

from coordination import distributed_transaction
from coordination.connections import http
from coordination.transactions.auditor import Auditor
from coordination.transactions.tables import Transaction
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import broker, ledger
from tests.integration.http_service import (
    Service,
    called,
    expire,
    routed_service,
    started_service,
    sweep,
)
from tests.integration.losing_proxy import LosingProxy

__all__ = ["routed_service", "started_service"]

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

TRANSFERS = 40
FAULTS = ("none", "loss", "losses", "kill", "freeze", "refusal", "broke")


@pytest.fixture(autouse=True)
def _ledgers(transactional_db: None) -> Iterator[None]:
    broker.clear()
    with ledger.ledgers():
        yield


def move(cents: int, local: int) -> str:
    tx = distributed_transaction("move", deadline=30, wait=False)
    tx.enlist("far.add", account="a", cents=-cents)
    tx.enlist("test.a.add", cents=local)
    return tx.submit()


def disturb(fault: str, service: Service, proxy: LosingProxy) -> None:
    if fault == "loss":
        proxy.lose(1)
    elif fault == "losses":
        proxy.lose(3)
    elif fault == "kill":
        service.kill()
    elif fault == "freeze":
        service.signal(signal.SIGSTOP)


def heal(fault: str, service: Service, proxy: LosingProxy) -> None:
    proxy.lose(0)
    if fault == "kill":
        service.start()
    elif fault == "freeze":
        service.signal(signal.SIGCONT)


def test_no_cent_is_lost_or_made_whatever_answers_and_processes_are_lost(
    service: Service,
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with LosingProxy(service.port) as proxy:
        with called(service.url.replace(str(service.port), str(proxy.port)), timeout=0.3):
            gids = [_transfer(chance, service, proxy) for _ in range(TRANSFERS)]
        http.close_idle()
    with called(service.url):
        sweep()

    rows = Transaction.objects.filter(gid__in=gids)
    assert {row.ended_at is not None for row in rows} == {True}, seed
    assert {row.heuristic for row in rows} == {""}, seed
    assert len(set(rows.values_list("outcome", flat=True))) == 2, "both ends have to occur"
    cents, held = service.cents()
    assert (cents + ledger.amount("bank_a"), held) == (200, 0), seed
    assert (ledger.prepared("bank_a"), set(service.states())) == ([], {"committed", "cancelled"})
    Auditor("default", node=django_settings.COORDINATION["NODE"]).step()
    assert ledger.execute("default", "SELECT count(*) FROM concord_violation") == [(0,)]


def _transfer(chance: random.Random, service: Service, proxy: LosingProxy) -> str:
    """One transfer under one fault, which heals before or after others have looked at it."""
    fault = chance.choice(FAULTS)
    cents = chance.randint(-3, 3) or 1
    disturb(fault, service, proxy)
    gid = move(10_000 if fault == "refusal" else cents, -500 if fault == "broke" else cents)
    if chance.random() < 0.5:
        heal(fault, service, proxy)
        sweep()
        return gid
    if chance.random() < 0.5:
        expire(gid)
    sweep()
    heal(fault, service, proxy)
    sweep()
    return gid
