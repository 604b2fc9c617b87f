"""Locks whose holders and waiters are stopped and killed, on every store."""

import random
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coordination import lock
from coordination.verification.linearizability import Call, Linearizable, check
from coordination.verification.lock_model import LockModel, with_expiries
from tests.contract.locks.asking import pass_time
from tests.contract.locks.conftest import STORES
from tests.faults import lock_agents
from tests.faults.lock_agents import Agent, Resource, Told
from tests.lock_stores import postgresql_locks, redis_locks, sqlite_locks, zookeeper_locks
from tests.stack import wait_until

__all__ = ["postgresql_locks", "redis_locks", "sqlite_locks", "zookeeper_locks"]

pytestmark = pytest.mark.django_db(transaction=True)

TTL_S = 2.0
LATE_S = 2.0
"""How much later than its lease a dead holder is replaced, at most."""


@pytest.fixture(params=STORES)
def using(request: pytest.FixtureRequest) -> str:
    alias: str = request.getfixturevalue(f"{request.param}_locks")
    return alias


@pytest.fixture
def name() -> str:
    return f"fault:{secrets.token_hex(6)}"


@pytest.fixture
def resource(name: str) -> Iterator[Resource]:
    made = Resource(name)
    made.make()
    yield made
    made.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[Callable[[Told], None]], Agent]]:
    """Starts agents; what still runs at the end is killed."""
    agents: list[Agent] = []

    def begin(work: Callable[[Told], None]) -> Agent:
        agents.append(lock_agents.start(tmp_path / f"{len(agents)}.log", work))
        return agents[-1]

    yield begin
    for agent in agents:
        agent.send(signal.SIGCONT)
        agent.kill()


def granted(agent: Agent, *, within_s: float = 30) -> Call:
    """Its first grant, waited for."""
    wait_until("it has the lock", lambda: bool(agent.calls()), within_s=within_s, pause_s=0.01)
    return agent.calls()[0]


def lines(agent: Agent, what: str) -> list[str]:
    return [line["answer"] for line in agent.told() if line["what"] == what and "answer" in line]


def test_a_holder_that_was_stopped_past_its_lease_is_refused_and_learns_that_it_lost(
    using: str,
    name: str,
    resource: Resource,
    start: Callable[[Callable[[Told], None]], Agent],
) -> None:
    stopped = start(lock_agents.hold(using, name, ttl=TTL_S))
    former = granted(stopped)
    stopped.send(signal.SIGSTOP)
    begun = time.monotonic()
    present = start(lock_agents.hold(using, name, ttl=TTL_S))
    newer = granted(present)
    assert time.monotonic() - begun < TTL_S + LATE_S
    assert newer.token is not None
    assert former.token is not None
    assert newer.token > former.token

    present.send(signal.SIGUSR1)
    wait_until("it has written", lambda: lines(present, "write") == ["ok"])
    stopped.send(signal.SIGCONT)
    stopped.send(signal.SIGUSR1)
    stopped.wait()

    assert lines(stopped, "ensure_held") == ["lost"]
    assert lines(stopped, "write") == ["stale"]
    assert lines(stopped, "release") == ["lost"]
    assert resource.accepted() == [newer.token]


def test_a_holder_that_was_killed_is_replaced_when_its_lease_ends(
    using: str, name: str, resource: Resource, start: Callable[[Callable[[Told], None]], Agent]
) -> None:
    holder = start(lock_agents.hold(using, name, ttl=TTL_S))
    granted(holder)
    waiter = start(lock_agents.hold(using, name, ttl=TTL_S))
    wait_until("it waits", lambda: len(lock(name, using=using).info().waiters) == 1)
    holder.kill()
    died = time.monotonic()

    assert granted(waiter).ended - died < TTL_S + LATE_S


def test_a_waiter_that_was_killed_holds_nobody_up(
    using: str, name: str, resource: Resource, start: Callable[[Callable[[Told], None]], Agent]
) -> None:
    """The one behind it is served as soon as the time has passed in which it had to answer."""
    holder = start(lock_agents.hold(using, name, ttl=30))
    granted(holder)
    waiters = []
    for count in (1, 2):
        waiters.append(start(lock_agents.hold(using, name, ttl=TTL_S)))
        wait_until(
            "it waits",
            lambda count=count: len(lock(name, using=using).info().waiters) == count,
        )
    waiters[0].kill()
    holder.send(signal.SIGUSR1)
    holder.wait()

    assert granted(waiters[1]).ended - holder.calls()[-1].ended < TTL_S + LATE_S
    assert lines(holder, "release") == ["ok"]


def test_a_history_with_stops_and_kills_is_linearizable(
    using: str, name: str, resource: Resource, start: Callable[[Callable[[Told], None]], Agent]
) -> None:
    chance = random.Random(secrets.randbits(32))
    until = time.monotonic() + 10

    def contender() -> Agent:
        left = max(0.5, until - time.monotonic())
        return start(lock_agents.contend(using, name, ttl=1.0, seconds=left))

    agents = [contender() for _ in range(4)]
    while time.monotonic() < until:
        pass_time(chance.uniform(0.3, 1.2))
        agent = chance.choice(agents)
        if chance.random() < 0.4:
            agent.kill()
            agents.append(contender())
        elif not agent.ended:
            agent.send(signal.SIGSTOP)
            pass_time(chance.choice([0.1, 1.6]))
            agent.send(signal.SIGCONT)
    for agent in agents:
        agent.wait()

    history = [call for agent in agents for call in agent.calls()]
    grants = [call for call in history if call.what == "acquire" and call.answer == "ok"]
    assert len(grants) > 20
    assert len({call.token for call in grants}) == len(grants)
    assert resource.accepted() == sorted(resource.accepted())
    ends = {token: end for agent in agents for token, end in agent.ends().items()}
    verdict = check(with_expiries(history, ends), LockModel())
    assert isinstance(verdict, Linearizable), str(verdict)
