"""Processes that publish and add everywhere at once and are killed at random: sums and contents."""

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connections

from coordination import counter, distributed_transaction
from coordination.exceptions import CoordinationError
from coordination.observing.records import Violation
from coordination.queues.participants import message_id
from coordination.transactions import orphans, sweeper, worker
from coordination.transactions.auditor import Auditor
from coordination.transactions.tables import Branch, Transaction
from coordination.transactions.types import Phase
from tests.databases import ALIASES, _django_db_helper
from tests.effects import Added, Effect, Published
from tests.faults.lock_agents import Agent, Told, start
from tests.integration import broker
from tests.integration.ledger import execute
from tests.queue_stores import postgresql_queues, rabbitmq_queues, redis_queues, sqlite_queues

__all__ = [
    "_django_db_helper",
    "postgresql_queues",
    "rabbitmq_queues",
    "redis_queues",
    "sqlite_queues",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.django_db(transaction=True, databases=ALIASES),
]
AGENTS, KILLS = 3, 25
DUE = "UPDATE concord_transaction SET next_at = now() - interval '1 second' WHERE ended_at IS NULL"
NO_ROOM = "zz:no-room"


@pytest.fixture
def everywhere(
    transactional_db: None,
    sqlite_queues: str,
    rabbitmq_queues: str,
    zookeeper_store: str,
) -> Iterator[list[Effect]]:
    broker.clear()
    counters = ("redis", "database", sqlite_queues, zookeeper_store)
    queues = ("redis", "database", sqlite_queues, rabbitmq_queues)
    yield [*(Added(using=each) for each in counters), *(Published(using=each) for each in queues)]
    broker.clear()


def working(effects: list[Effect], seed: int) -> Callable[[Told], None]:
    def work(told: Told) -> None:
        chance = random.Random(seed)
        while True:
            tx = distributed_transaction("load", deadline=30)
            for each in chance.sample(effects, chance.randint(1, len(effects))):
                each.enlist(tx)
            if chance.random() < 0.25:
                tx.add(NO_ROOM, using="redis", maximum=0)
            told.begins(tx.gid)
            try:
                tx.submit()
            except CoordinationError:
                continue

    return work


def sweep() -> None:
    """What a sweeper and workers do meanwhile, and for those who were killed."""
    execute("default", DUE)
    execute("default", "UPDATE concord_branch SET next_at = NULL")
    sweeper.sweep_once()
    orphans.sweep(min_age_s=0)
    for phase, task in ((Phase.PREPARE, worker.prepare), (Phase.FINISH, worker.finish)):
        waiting = broker.messages(f"bank.{phase}")
        with broker.queues() as client:
            client.delete(f"bank.{phase}")
        for message in waiting:
            task(**message.kwargs)


def done_to(effect: Effect, gids: set[str]) -> set[str]:
    """Which of the transactions have it as a branch."""
    subject = f":{effect.name}@{effect.using}"
    found = Branch.objects.filter(participant__endswith=subject, transaction_id__in=gids)
    return set(found.values_list("transaction_id", flat=True))


def messages_of(published: Published) -> list[str]:
    found: list[str] = []
    while taken := published.queue.reserve(100, wait=2):
        found += [each.id for each in taken]
        published.queue.ack(list({each.receipt: each for each in taken}.values()))
    return found


def test_sums_and_contents_are_those_of_what_was_committed(
    everywhere: list[Effect], tmp_path: Path
) -> None:
    chance, agents = random.Random(20261124), list[Agent]()
    for each in everywhere:
        each.seen()  # its connections are not made by the first who is killed
    connections.close_all()
    for number in range(AGENTS):
        agents.append(start(tmp_path / f"{number}", working(everywhere, number)))
    try:
        for number in range(KILLS):
            until = time.monotonic() + chance.uniform(0.1, 0.5)
            while time.monotonic() < until:
                sweep()
            victim = chance.choice([each for each in agents if not each.ended])
            victim.kill()
            connections.close_all()
            log = tmp_path / f"again-{number}"
            agents.append(start(log, working(everywhere, 100 + number)))
    finally:
        for agent in agents:
            agent.kill()

    given_up = time.monotonic() + 60
    while Transaction.objects.filter(ended_at__isnull=True).exists():
        assert time.monotonic() < given_up, list(
            Branch.objects.filter(actual__isnull=True).values("participant", "last_error")[:5]
        )
        sweep()

    begun = {line["what"] for agent in agents for line in agent.told()}
    rows = Transaction.objects.filter(gid__in=begun)
    assert not rows.exclude(heuristic="").exists()
    committed = set(rows.filter(outcome="committed").values_list("gid", flat=True))
    print(f"{len(begun)} begun, {rows.count()} durable, {len(committed)} committed")
    assert 20 < len(committed) < rows.count()
    for each in everywhere:
        gids = done_to(each, committed)
        if isinstance(each, Added):
            assert (each.using, each.seen()) == (each.using, len(gids))
            continue
        assert isinstance(each, Published)
        ids = messages_of(each)
        wanted = sorted(
            message_id(gid, queue=each.name, store=each.using, number=0) for gid in gids
        )
        assert (each.using, sorted(set(ids))) == (each.using, wanted)
        assert each.using == "rabbitmq" or len(ids) == len(wanted)
    assert counter(NO_ROOM, using="redis", maximum=0).get() == 0
    auditor = Auditor("default", node="bank")
    while auditor.step():
        pass
    assert list(Violation.objects.values_list("gid", "kind", "sentence")) == []
