"""Sweeps of queues in Redis take a group as one, and few steps, whatever stands beside it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pytest_django import Settings

from coordination import Message, queue
from coordination.queues.api import Queue
from tests.contract.queues.taking import balanced, drained
from tests.integration.own_redis import OwnRedis, own_redis

__all__ = ["own_redis"]

STEP = 200


@pytest.fixture
def own(own_redis: OwnRedis, settings: Settings) -> OwnRedis:
    """A Redis of this test's own as the store of queues."""
    store = {"BACKEND": "redis", "LOCATION": own_redis.url}
    settings.COORDINATION = {"NODE": "test", "STORES": {"redis": store}}
    return own_redis


def scripts(own: OwnRedis) -> int:
    with own.client() as client:
        return int(client.info("commandstats")["cmdstat_evalsha"]["calls"])


@contextmanager
def at_most(own: OwnRedis, most: int) -> Iterator[None]:
    """So many scripts."""
    before = scripts(own)
    yield
    assert scripts(own) - before <= most


def swept(own: OwnRedis, what: str, name: str) -> list[int]:
    """Of how many messages each event of a kind tells."""
    with own.client() as client:
        entries = [
            fields["e"].split("\n", 6)
            for number in range(16)
            for _, fields in client.xrange(f"concord:{{queue-{number}}}:events")
        ]
    told = [json.loads(entry[6]) for entry in entries if entry[:2] == [what, name]]
    return [len(data["ids"]) for data in told]


def grouped(q: Queue, number: int, group: str = "g") -> list[str]:
    ids: list[str] = []
    while number > 0:
        ids += q.publish_many([Message(group, group=group)] * min(1000, number))
        number -= 1000
    return ids


def test_a_group_is_purged_by_the_step_and_not_one_by_one(own: OwnRedis) -> None:
    q = queue("a")
    grouped(q, 2_000)
    q.publish("alone")
    grouped(q, 300, "h")
    with at_most(own, 2_301 // STEP + 5):
        assert q.purge() == 2_301
    told = swept(own, "message.purged", "a")
    assert sum(told) == 2_301
    assert max(told) <= STEP
    assert len(told) <= 2_301 // STEP + 5
    assert q.stats().held == 0
    balanced(q)


def test_a_redrive_looks_at_others_letters_once(own: OwnRedis) -> None:
    other, q = (queue(name, dead_letter="dead") for name in ("other", "mine"))
    for _ in range(2):
        other.publish_many(range(1_000))
    while taken := other.reserve(batch=500):
        other.reject(taken)
    ids = grouped(q, 60)
    while taken := q.reserve():
        q.reject(taken)
    with at_most(own, 2_060 // STEP + 5):
        assert q.redrive() == 60
    assert [each.id for each in drained(q)] == ids
    assert other.stats().dead == 2_000
    for each in (q, other, queue("dead")):
        balanced(each)


def test_a_moved_group_keeps_its_order_whatever_is_taken_meanwhile(own: OwnRedis) -> None:
    q, to = queue("a"), queue("b")
    assert to.declared.max_length is None
    ids = grouped(q, 700)
    q.publish_many(range(300))
    came: list[str] = []

    def progress(_done: int) -> None:
        came.extend(each.id for each in drained(to) if each.group)
        q.publish("later", group="g")

    moved = q.move("b", progress=progress)
    came += [each.id for each in drained(to) if each.group]
    assert moved == 1_000
    assert came == ids
    assert {each.body for each in drained(q)} == {"later"}
    for each in (q, to):
        balanced(each)


def test_a_group_whose_first_is_in_flight_is_swept_behind_it(own: OwnRedis) -> None:
    q = queue("a")
    ids = grouped(q, 450)
    first: list[str] = []

    def progress(_done: int) -> None:
        # The next of the group is ready between two steps: somebody may take it.
        if not first:
            (taken,) = q.reserve()
            first.append(taken.id)
            taken.nack(delay=60)

    assert q.purge(progress=progress) >= 448
    assert first[0] in ids
    q.purge()
    assert q.stats().held == 0
    balanced(q)
