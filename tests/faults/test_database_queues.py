"""Queues in databases while their users and their server are stopped, killed and restarted."""

import json
import random
import signal
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from config.servers import Servers
from coordination import queue
from coordination.queues.api import Queue
from tests.contract.locks.asking import pass_time
from tests.contract.queues.taking import balanced, one
from tests.databases import ALIASES, _django_db_helper
from tests.faults.queue_agents import Agent, Told, consume, drain, produce, start
from tests.integration.postgresql_locks import frozen
from tests.queue_stores import SQLITE, postgresql_queues, sqlite_queues

__all__ = ["_django_db_helper", "postgresql_queues", "sqlite_queues"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True, databases=ALIASES),
]

SECONDS = 6.0
VISIBILITY_S = 0.5
IN_POSTGRESQL = """
SELECT kind, data::text FROM concord_event
WHERE object = 'queue' AND split_part(name, ' ', 2) = %s ORDER BY id
"""
IN_SQLITE = "SELECT kind, data FROM concord_queue_event WHERE name = %s ORDER BY id"


def history(using: str, name: str) -> list[tuple[str, Any]]:
    """What and data of each event of a queue, each behind what caused it."""
    alias, sql = (SQLITE, IN_SQLITE) if using == SQLITE else ("default", IN_POSTGRESQL)
    with connections[alias].cursor() as cursor:
        cursor.execute(sql, [name])
        return [(kind, json.loads(data)) for kind, data in cursor.fetchall()]


def check(q: Queue, using: str, agents: list[Agent]) -> None:
    """Every message is accounted for, and none was acked twice or taken after its ack."""
    balanced(q)
    stats = q.stats()
    assert stats.totals is not None
    assert (stats.held, stats.dead) == (0, 0), stats
    published, acked, taken = set[str](), set[str](), Counter[str]()
    for what, data in history(using, q.name):
        ids = set(data.get("ids", ()))
        match what:
            case "message.published":
                assert not ids & published
                published |= ids
            case "message.taken":
                assert ids <= published - acked
                for id_, attempt in zip(data["ids"], data["attempts"], strict=True):
                    taken[id_] += 1
                    assert attempt == taken[id_]
            case "message.acked":
                assert not ids & acked
                acked |= ids
    assert acked == published
    assert stats.totals.published == stats.totals.acked == len(published)
    confirmed = [id_ for agent in agents for id_ in agent.told("published")]
    assert len(confirmed) == len(set(confirmed)) > 50
    assert set(confirmed) <= published
    told = Counter(id_ for agent in agents for id_ in agent.told("acked"))
    assert set(told.values()) == {1}


def disturbed(servers: Servers, fault: str, victim: Agent) -> None:
    """Do harm for a moment; whoever is killed is not told."""
    match fault:
        case "kill":
            victim.kill()
        case "stop":
            victim.send(signal.SIGSTOP)
            pass_time(2 * VISIBILITY_S)
            victim.send(signal.SIGCONT)
        case "restart":
            servers.restart("postgresql")
        case "freeze":
            with frozen(servers):
                pass_time(0.5)


@pytest.mark.parametrize(
    ("technology", "fault"),
    [
        *(("postgresql", fault) for fault in ("kill", "stop", "restart", "freeze")),
        *(("sqlite", fault) for fault in ("kill", "stop")),
    ],
)
def test_no_message_is_lost_or_acked_twice(
    request: pytest.FixtureRequest,
    servers: Servers,
    tmp_path: Path,
    technology: str,
    fault: str,
) -> None:
    using: str = request.getfixturevalue(f"{technology}_queues")
    chance, number = random.Random(fault), count()
    q = queue("work", using=using, visibility=VISIBILITY_S, max_attempts=1_000)
    q.publish("declared before anybody forks")
    one(q).ack()
    connections.close_all()

    def begin(kind: Any) -> Agent:
        work = kind(q.name, using=using, seconds=SECONDS)
        return start(tmp_path / f"agent-{next(number)}", work)

    running = [begin(kind) for kind in (produce, consume) * 3]
    agents = list(running)
    for _ in range(6):
        pass_time(SECONDS / 10)
        victim = chance.choice(running)
        disturbed(servers, fault, victim)
        if fault == "kill":
            connections.close_all()
            running.remove(victim)
            running.append(begin(produce if chance.random() < 0.5 else consume))
            agents.append(running[-1])
    for agent in running:
        assert agent.wait() == 0
    log = tmp_path / "drained"
    drain(q, Told(log), wait=2 * VISIBILITY_S)
    check(q, using, [*agents, Agent(0, log, ended=True)])


@pytest.mark.parametrize("technology", ["postgresql", "sqlite"])
def test_whoever_is_killed_between_taking_and_acking_loses_nothing(
    request: pytest.FixtureRequest, tmp_path: Path, technology: str
) -> None:
    using: str = request.getfixturevalue(f"{technology}_queues")
    q = queue("work", using=using, visibility=VISIBILITY_S)
    ids = q.publish_many(range(5))
    connections.close_all()

    def take(told: Told) -> None:
        for message in queue("work", using=using).reserve(batch=5):
            told.line("took", message.id)
        signal.raise_signal(signal.SIGKILL)

    agent = start(tmp_path / "agent", take)
    assert agent.wait() == -signal.SIGKILL
    assert agent.told("took") == ids
    again: dict[str, int] = {}
    while len(again) < 5:
        for message in q.reserve(wait=5):
            again[message.id] = message.attempts
            message.ack()
    assert sorted(again) == sorted(ids)
    assert set(again.values()) == {2}
    assert q.stats().held == 0
    balanced(q)
