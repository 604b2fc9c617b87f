"""Mistakes of a store, planted: each turns the verdict of the queue balance red, and is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from coordination import queue
from coordination.observing.records import Violation
from coordination.observing.tables import Event
from coordination.observing.verdicts import acknowledge
from coordination.queues.judging import ViolationKind
from coordination.queues.stores.redis_keys import keys_of
from tests.contract.queues.taking import one
from tests.databases import ALIASES
from tests.integration.own_redis import OwnRedis, own_redis
from tests.integration.queue_observing import (
    _django_db_helper,
    an_importer,
    any_store,
    audit,
    database_only,
    delete_row,
    drain,
    judged,
    own,
    record,
    redis_only,
    run_sql,
    sqlite_only,
    work,
)
from tests.queue_stores import sqlite_queues

__all__ = [
    "_django_db_helper",
    "any_store",
    "database_only",
    "own",
    "own_redis",
    "redis_only",
    "sqlite_only",
    "sqlite_queues",
]

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)


def violation() -> Violation:
    """The one that was found."""
    return Violation.objects.get(verdict="queue_balance")


def _vanish(store: str, own_redis: OwnRedis | None, message: str) -> None:
    """As a store that does not keep its word: a message is gone."""
    if own_redis is None:
        delete_row(store, message)
        return
    client = own_redis.client()
    client.hdel(keys_of("a")[1], message)
    client.zrem(keys_of("a")[2], message)


@pytest.fixture
def redis_of(request: pytest.FixtureRequest, any_store: str) -> OwnRedis | None:
    """The Redis, where the store is one."""
    found: OwnRedis | None = request.getfixturevalue("own") if any_store == "redis" else None
    return found


def test_a_message_that_was_deleted_turns_it_red_and_is_named(
    any_store: str, redis_of: OwnRedis | None
) -> None:
    work()
    gone = queue("a").publish("gone", priority=1)
    assert judged().state == "HOLDS"
    _vanish(any_store, redis_of, gone)
    verdict = audit()
    found = violation()

    assert (verdict.state, verdict.violations) == ("VIOLATED", 1)
    assert (found.gid, found.kind) == (f"{any_store} a", ViolationKind.UNBALANCED)
    assert gone in found.sentence
    assert (found.evidence["messages"], found.evidence["census"]["missing"]) == ([gone], 1)
    assert record("a").disputed == found.sentence
    assert audit().violations == 1


def test_a_block_of_messages_that_was_deleted_turns_it_red(own: OwnRedis) -> None:
    ids = queue("a").publish_many(range(7))
    judged()
    own.client().lpop(keys_of("a")[-3])
    verdict = audit()
    found = {each.kind: each for each in Violation.objects.all()}

    assert verdict.state == "VIOLATED"
    assert found[ViolationKind.UNBALANCED].evidence["messages"] == sorted(ids)
    assert found[ViolationKind.MISPLACED].sentence


def test_a_message_that_stands_nowhere_turns_it_red(own: OwnRedis) -> None:
    message = queue("a").publish("x", priority=1)
    judged()
    own.client().zrem(keys_of("a")[2], message)

    assert audit().state == "VIOLATED"
    assert violation().kind == ViolationKind.MISPLACED


def test_a_message_that_never_came_turns_it_red(database_only: str) -> None:
    queue("a").publish("x")
    judged()
    run_sql("UPDATE concord_queue_tally SET published = 0")

    assert audit().state == "VIOLATED"
    assert violation().sentence == "1 message is in the queue that never came to it"


def _again(kind: str) -> None:
    """Let the last event of a kind have happened once more, as its queue's next."""
    last = Event.objects.filter(kind=kind).order_by("-id")[0]
    version = max(
        (event.data.get("version", 0) for event in Event.objects.filter(object="queue")), default=0
    )
    more = {"version": version + 1} if version else {}
    Event.objects.create(
        kind=kind,
        object="queue",
        name=f"{last.name}9",
        version=1,
        at=last.at,
        data=last.data | {"op": "other"} | more,
    )


PLANTED: dict[ViolationKind, Callable[[], None]] = {
    ViolationKind.ACKED_TWICE: lambda: _again("message.acked"),
    ViolationKind.AFTER_ACK: lambda: _again("message.taken"),
}


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("at_once", [True, False])
def test_an_effect_after_an_ack_turns_it_red_and_names_the_message(
    any_store: str, kind: ViolationKind, at_once: bool
) -> None:
    q = queue("a")
    id_ = q.publish("x")
    one(q).ack()
    drain(an_importer().step)
    if not at_once:
        assert judged().state == "HOLDS"
    PLANTED[kind]()
    verdict = judged()
    found = violation()

    assert (verdict.state, verdict.violations) == ("VIOLATED", 1)
    assert (found.gid, found.kind) == (f"{any_store} a", kind)
    assert id_ in found.sentence
    assert found.evidence["acked"]["acked"] is True


def test_a_message_given_to_two_at_once_turns_it_red(any_store: str) -> None:
    q = queue("a")
    q.publish("x")
    taken = one(q)
    drain(an_importer().step)
    _again("message.taken")
    verdict = judged()

    assert verdict.state == "VIOLATED"
    assert violation().kind == ViolationKind.TAKEN_TWICE
    taken.ack()


def test_an_acknowledged_violation_is_no_longer_red_and_the_next_one_is(database_only: str) -> None:
    q = queue("a")
    first, second = q.publish_many(["x", "y"])
    judged()
    delete_row("database", first)
    audit()
    acknowledge([violation().id], actor="m.keller", reason="restored by hand")
    verdict = audit()

    assert (verdict.state, verdict.acknowledged, record("a").disputed) == ("HOLDS", 1, "")
    delete_row("database", second)
    assert audit().state == "VIOLATED"
    assert record("a").disputed
