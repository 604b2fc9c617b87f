"""Counters whose processes are stopped and killed in the middle of their calls, on every store."""

import random
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from django.db import connections

from coordination import counter
from coordination.exceptions import BoundExceeded
from coordination.verification.counter_model import CounterModel
from coordination.verification.linearizability import Linearizable, check
from tests.contract.counters.conftest import STORES
from tests.contract.locks.asking import pass_time
from tests.counter_stores import (
    _django_db_helper,
    database_counters,
    redis_counters,
    sqlite_counters,
    zookeeper_counters,
)
from tests.faults import counter_agents, lock_agents
from tests.faults.lock_agents import Agent, Told

__all__ = [
    "_django_db_helper",
    "database_counters",
    "redis_counters",
    "sqlite_counters",
    "zookeeper_counters",
]

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS = 5
AGENTS = 4


@pytest.fixture(params=STORES)
def using(request: pytest.FixtureRequest) -> str:
    alias: str = request.getfixturevalue(f"{request.param}_counters")
    return alias


@pytest.fixture
def name() -> str:
    return f"fault:{secrets.token_hex(6)}"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[Callable[[Told], None]], Agent]]:
    """Starts agents; what still runs at the end is killed."""
    agents: list[Agent] = []

    def begin(work: Callable[[Told], None]) -> Agent:
        # A child must not use what its parent has open.
        connections.close_all()
        agents.append(lock_agents.start(tmp_path / f"{len(agents)}.log", work))
        return agents[-1]

    yield begin
    for agent in agents:
        agent.send(signal.SIGCONT)
        agent.kill()


def disturbed(begin: Callable[[float], Agent]) -> list[Agent]:
    """Agents of which some are stopped for a while, and some killed and replaced, until the end."""
    chance = random.Random(secrets.randbits(32))
    until = time.monotonic() + SECONDS
    agents = [begin(SECONDS) for _ in range(AGENTS)]
    while (left := until - time.monotonic()) > 0:
        pass_time(chance.uniform(0.1, 0.4))
        agent = chance.choice(agents)
        if chance.random() < 0.6:
            agent.kill()
            agents.append(begin(max(0.3, left)))
        elif not agent.ended:
            agent.send(signal.SIGSTOP)
            pass_time(chance.choice([0.05, 0.4]))
            agent.send(signal.SIGCONT)
    for agent in agents:
        agent.wait()
    return agents


def test_the_sum_is_the_number_of_op_ids_whoever_is_killed(
    using: str, name: str, start: Callable[[Callable[[Told], None]], Agent]
) -> None:
    agents = disturbed(lambda seconds: start(counter_agents.counting(using, name, seconds=seconds)))
    begun = {line["what"] for agent in agents for line in agent.told()}
    assert len(begun) > 50
    c = counter(name, using=using)
    assert c.get() <= len(begun)

    # Whoever died is asked for once more, as a broker does; and so is everybody else.
    for op_id in begun:
        c.add(1, op_id=op_id)

    assert c.read() == (len(begun), len(begun))


def test_processes_that_compare_and_set_in_loops_lose_no_change(
    using: str, name: str, start: Callable[[Callable[[Told], None]], Agent]
) -> None:
    counter(name, using=using).get()
    agents = [start(counter_agents.incrementing(using, name, times=25)) for _ in range(AGENTS)]
    for agent in agents:
        agent.wait()
    assert counter(name, using=using).read() == (25 * AGENTS, 25 * AGENTS)


def test_a_history_with_stops_and_kills_is_linearizable(
    using: str, name: str, start: Callable[[Callable[[Told], None]], Agent]
) -> None:
    agents = disturbed(lambda seconds: start(counter_agents.changing(using, name, seconds=seconds)))
    c = counter(name, using=using, minimum=0)

    def repeat(op_id: str, what: str, number: int | None) -> str | None:
        what, _, expected = what.partition(" ")
        try:
            match what:
                case "add":
                    return str(c.add(number or 0, op_id=op_id))
                case "set":
                    return str(c.set(number or 0, op_id=op_id))
                case "compare_and_set":
                    done = c.compare_and_set(int(expected), number or 0, op_id=op_id)
                    return "written" if done else "mismatch"
        except BoundExceeded:
            return "exceeded"
        return None

    history = [call for agent in agents for call in counter_agents.history_of(agent, repeat)]
    assert len(history) > 50
    verdict = check(history, CounterModel(lowest=0))
    assert isinstance(verdict, Linearizable), str(verdict)

    chain = list(reversed(c.history(1_000)))
    assert [past.version for past in chain] == [*range(chain[0].version, c.read().version + 1)]
    for past, following in pairwise(chain):
        assert following.before == past.after
    assert chain[-1].after == c.get()
