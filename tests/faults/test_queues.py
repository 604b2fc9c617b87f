"""Queues in Redis while their users and their server are stopped, killed and restarted."""

import json
import random
import signal
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from coordination import queue
from coordination.exceptions import CoordinationError
from coordination.queues.api import Queue
from tests.contract.locks.asking import pass_time
from tests.contract.queues.taking import balanced, one, until
from tests.faults.queue_agents import Agent, Told, consume, drain, produce, run, start
from tests.integration.own_redis import OwnRedis, own_redis

__all__ = ["own_redis"]

SECONDS = 6.0
VISIBILITY_S = 0.5


@pytest.fixture
def own(tmp_path: Path, settings: Settings) -> Iterator[OwnRedis]:
    """A Redis that forgets nothing it has answered for."""
    server = OwnRedis(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    store = {"BACKEND": "redis", "LOCATION": server.url, "OPTIONS": {"DEADLINE": 1}}
    settings.COORDINATION = {"NODE": "test", "STORES": {"redis": store}}
    try:
        yield server
    finally:
        server.kill()


def history(own: OwnRedis, name: str) -> list[tuple[str, Any]]:
    """What and data of each event of a queue, none missing."""
    found, versions = [], []
    with own.client() as client:
        for number in range(16):
            for _, fields in client.xrange(f"concord:{{queue-{number}}}:events"):
                what, of, _at, _node, _op, version, data = fields["e"].split("\n", 6)
                if of == name:
                    versions.append(int(version))
                    found.append((what, json.loads(data)))
    assert versions == list(range(1, len(versions) + 1))
    return found


def check(own: OwnRedis, q: Queue, agents: list[Agent]) -> None:
    """Every message is accounted for, and none was acked twice or taken after its ack."""
    balanced(q)
    stats = q.stats()
    assert stats.totals is not None
    assert (stats.held, stats.dead, stats.extra["messages"]) == (0, 0, 0), stats
    published, acked, taken = set[str](), set[str](), Counter[str]()
    for what, data in history(own, q.name):
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
    assert len(confirmed) == len(set(confirmed)) > 100
    assert set(confirmed) <= published
    told = Counter(id_ for agent in agents for id_ in agent.told("acked"))
    assert set(told.values()) == {1}


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["kill", "stop", "restart", "freeze"])
def test_no_message_is_lost_or_acked_twice(own: OwnRedis, tmp_path: Path, fault: str) -> None:
    name, chance, number = "work", random.Random(fault), count()
    q = queue(name, visibility=VISIBILITY_S, max_attempts=1_000)
    q.publish("declared before anybody forks")
    one(q).ack()

    def begin(kind: Any) -> Agent:
        work = kind(name, using="redis", seconds=SECONDS)
        return start(tmp_path / f"agent-{next(number)}", work)

    running = [begin(kind) for kind in (produce, consume) * 3]
    agents = list(running)
    for _ in range(6):
        pass_time(SECONDS / 10)
        match fault:
            case "kill":
                victim = chance.choice(running)
                victim.kill()
                running.remove(victim)
                agents.append(begin(produce if victim is agents[0] else consume))
                running.append(agents[-1])
            case "stop":
                victim = chance.choice(running)
                victim.send(signal.SIGSTOP)
                pass_time(2 * VISIBILITY_S)
                victim.send(signal.SIGCONT)
            case "restart":
                own.kill()
                own.start()
            case "freeze":
                own.freeze()
                pass_time(0.5)
                own.thaw()
    for agent in agents:
        agent.wait()
    log = tmp_path / "drained"
    drain(q, Told(log), wait=3 * VISIBILITY_S)
    check(own, q, [*agents, Agent(0, log, ended=True)])


@pytest.mark.slow
def test_a_message_that_kills_its_consumer_takes_no_other_with_it(
    own: OwnRedis, tmp_path: Path
) -> None:
    q = queue("work", visibility=VISIBILITY_S, max_attempts=3)
    q.publish_many(["poison", *range(30)])
    agents: list[Agent] = []
    while q.stats().dead == 0:
        assert len(agents) < 10, "it goes on killing"
        agents.append(start(tmp_path / f"agent-{len(agents)}", run_until_killed()))
        until(lambda: ended(agents[-1]) or q.stats().dead == 1)
    if not agents[-1].ended:
        agents.append(agents.pop())
    else:
        agents.append(start(tmp_path / "last", run_until_killed()))
    until(lambda: q.stats().held == 0)
    agents[-1].send(signal.SIGTERM)
    assert agents[-1].wait() == 0
    (letter,) = queue("work.dlq").reserve()
    assert (letter.body, letter.source) == ("poison", "work")
    done = Counter(body for agent in agents for body in agent.told("done"))
    assert set(done) == {str(n) for n in range(30)}
    begun = Counter(body for agent in agents for body in agent.told("begun"))
    assert begun["poison"] == 3
    # Beside it there were three others the first time, and none afterwards.
    assert sum(times - 1 for body, times in begun.items() if body != "poison") <= 3
    balanced(q)


def run_until_killed() -> Any:
    return run("work", using="redis", killed_by="poison")


def ended(agent: Agent) -> bool:
    """Whether it died, without waiting for it."""
    state = Path(f"/proc/{agent.pid}/stat").read_text().rpartition(")")[2].split()[0]
    if state == "Z":
        agent.wait()
    return agent.ended


def test_whoever_is_killed_between_taking_and_acking_loses_nothing(
    own: OwnRedis, tmp_path: Path
) -> None:
    q = queue("work", visibility=VISIBILITY_S)
    ids = q.publish_many(range(5))

    def take(told: Told) -> None:
        for message in queue("work").reserve(batch=5):
            told.line("took", message.id)
        signal.raise_signal(signal.SIGKILL)

    agent = start(tmp_path / "agent", take)
    assert agent.wait() == -signal.SIGKILL
    assert agent.told("took") == ids
    again = []
    while len(again) < 5:
        again += q.reserve(wait=5)
    assert sorted(message.id for message in again) == sorted(ids)
    assert {message.attempts for message in again} == {2}
    try:
        q.ack(again)
    except CoordinationError:
        drain(q, Told(tmp_path / "rest"), wait=1)
    balanced(q)
