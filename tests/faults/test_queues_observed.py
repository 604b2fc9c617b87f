"""What is said of queues while their users are killed and stopped and their server is restarted."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections
from pytest_django import Settings

from config.servers import Servers
from coordination import queue
from coordination.observing.loop import EXPECTED
from coordination.observing.records import Violation
from coordination.queues.records import MessageRecord
from tests.contract.locks.asking import pass_time
from tests.contract.queues.taking import one
from tests.databases import ALIASES
from tests.faults.queue_agents import Agent, Told, consume, drain, produce, start
from tests.integration.own_redis import OwnRedis
from tests.integration.queue_observing import (
    _django_db_helper,
    a_sampler,
    an_auditor,
    an_importer,
    an_observer,
    database_only,
    judged,
    only,
    record,
    sqlite_only,
)
from tests.queue_stores import sqlite_queues

__all__ = ["_django_db_helper", "database_only", "sqlite_only", "sqlite_queues"]

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True, databases=ALIASES)]

SECONDS = 5.0
VISIBILITY_S = 0.5


@pytest.fixture
def own(tmp_path: Path, settings: Settings) -> Iterator[OwnRedis]:
    """A Redis that forgets nothing it has answered for."""
    server = OwnRedis(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    store = {"BACKEND": "redis", "LOCATION": server.url, "OPTIONS": {"DEADLINE": 1}}
    only(settings, {"redis": store})
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def redis_durable(own: OwnRedis) -> str:
    return "redis"


def _restart(request: pytest.FixtureRequest, servers: Servers, using: str) -> None:
    """End the server of the store at once, and start it again."""
    if using == "redis":
        own: OwnRedis = request.getfixturevalue("own")
        own.kill()
        own.start()
    else:
        servers.restart("postgresql")
        connections.close_all()


@pytest.mark.parametrize(
    ("store", "fault"),
    [
        *(("redis_durable", fault) for fault in ("kill", "stop", "restart")),
        *(("database_only", fault) for fault in ("kill", "stop", "restart")),
        ("sqlite_only", "kill"),
    ],
)
def test_whatever_befalls_users_and_server_the_balance_holds_and_is_proven(
    request: pytest.FixtureRequest, servers: Servers, tmp_path: Path, store: str, fault: str
) -> None:
    using: str = request.getfixturevalue(store)
    q = queue("work", visibility=VISIBILITY_S, max_attempts=1_000)
    first = q.publish("declared before anybody forks")
    one(q).ack()
    agents = [
        start(tmp_path / f"agent-{number}", kind("work", using=using, seconds=SECONDS))
        for number, kind in enumerate((produce, consume) * 3)
    ]
    for victim in (agents[0], agents[1], agents[3]):
        _watch(SECONDS / 5)
        match fault:
            case "kill":
                victim.kill()
            case "stop":
                victim.send(signal.SIGSTOP)
                pass_time(2 * VISIBILITY_S)
                victim.send(signal.SIGCONT)
            case "restart":
                _restart(request, servers, using)
    for agent in agents:
        agent.wait()
    log = tmp_path / "drained"
    drain(q, Told(log), wait=3 * VISIBILITY_S)
    verdict = judged()
    a_sampler().step()

    assert not Violation.objects.exists()
    assert (verdict.state, verdict.reason, verdict.evidence["gaps"]) == ("HOLDS", "", 0)
    stats = q.stats()
    assert stats.totals is not None
    row = record("work")
    assert (row.published, row.acked, row.ready) == (stats.totals.published, row.published, 0)
    assert verdict.evidence["acked"] == row.acked
    # A life was told of each that was published alone or in a small call, and none is left open.
    lives = MessageRecord.objects.filter(key=f"{using} work")
    assert set(lives.values_list("state", flat=True)) == {"acked"}
    told = [*agents, Agent(0, log, ended=True)]
    # Who is killed may have acked what he took last, and told nobody.
    known = {id_ for agent in told for word in ("took", "acked") for id_ in agent.told(word)}
    assert set(lives.values_list("message", flat=True)) <= known | {first}


def _watch(seconds: float) -> None:
    """Import, observe, sample and audit for a while; no verdict is ever red."""
    steps = [part.step for part in (an_importer(), an_observer(), a_sampler(), an_auditor())]
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for step in steps:
            try:
                step()
            except EXPECTED:
                connections.close_all()
        assert not Violation.objects.exists()
