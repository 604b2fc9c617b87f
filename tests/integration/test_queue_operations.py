"""Operations on queues: a set that is frozen when ordered, carried on whoever dies, kept."""

import json
import secrets
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from coordination import queue
from coordination.exceptions import (
    InvalidArgument,
    NotSupportedByStore,
    OutcomeUnknown,
    QueueFull,
    StoreUnavailable,
)
from coordination.queues import operations
from coordination.queues.api import Queue
from coordination.queues.operating import STEP
from coordination.queues.operations import Order, Place
from coordination.queues.sweeps import carrying
from coordination.queues.sweeps.tables import QueueSweep, SweepState, Verb
from tests.contract.queues.taking import drained
from tests.databases import ALIASES, _django_db_helper
from tests.integration import frozen_redis
from tests.queue_stores import postgresql_queues, rabbitmq_queues, redis_queues, sqlite_queues

__all__ = [
    "_django_db_helper",
    "postgresql_queues",
    "rabbitmq_queues",
    "redis_queues",
    "sqlite_queues",
]

freeze_redis = frozen_redis.freeze_redis

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)
BY: dict[str, Any] = {"actor": "ann", "reason": "the address book was empty"}
ROOT = Path(__file__).parents[2]
FROZEN = ["redis", "postgresql", "sqlite"]


@pytest.fixture(params=FROZEN)
def using(request: pytest.FixtureRequest) -> str:
    alias: str = request.getfixturevalue(f"{request.param}_queues")
    return alias


@pytest.fixture
def q(using: str) -> Queue:
    return queue(f"op:{secrets.token_hex(5)}", using=using)


@pytest.fixture
def redis_queue() -> Queue:
    return queue(f"op:{secrets.token_hex(5)}", using="redis")


def place(of: Queue) -> Place:
    return Place(store=of.store.alias, name=of.name)


def order(of: Queue, verb: Verb = Verb.PURGE, *, at_most: int = 10_000, to: str = "") -> Order:
    op = secrets.token_hex(8)
    return Order(op=op, verb=verb, place=place(of), at_most=at_most, to=to)


def bury(of: Queue, number: int) -> None:
    of.publish_many(range(number))
    for each in of.reserve(batch=number):
        each.reject(error="no such address")


def test_a_purge_falls_on_at_most_what_was_shown_and_on_nothing_later(q: Queue) -> None:
    q.publish_many(range(3 * STEP))
    wanted = order(q, at_most=3 * STEP)
    begun = operations.order(wanted, within_s=0, **BY)
    q.publish_many(["later"] * 50)
    assert (begun.state, begun.done) == (SweepState.RUNNING, STEP)
    ended = operations.order(wanted, **BY)
    assert (ended.state, ended.done) == (SweepState.DONE, 3 * STEP)
    assert {each.body for each in q.reserve(batch=100)} == {"later"}

    other = operations.order(order(q, at_most=20), **BY)
    assert (other.state, other.done) == (SweepState.DONE, 0), "what is taken stays"


def test_more_came_than_was_shown_and_stays(q: Queue) -> None:
    q.publish_many(range(70))
    ended = operations.order(order(q, at_most=50), **BY)
    assert (ended.state, ended.done, q.stats().ready) == (SweepState.DONE, 50, 20)


def test_a_redrive_gives_the_letters_that_were_there_another_chance(q: Queue) -> None:
    bury(q, 30)
    ended = operations.order(order(q, Verb.REDRIVE), **BY)
    stats = q.stats()
    assert (ended.state, ended.done) == (SweepState.DONE, 30)
    assert (stats.ready, stats.dead) == (30, 0)


def test_messages_are_moved_to_the_queue_that_was_named(q: Queue, using: str) -> None:
    to = queue(f"{q.name}:to", using=using)
    q.publish_many(range(5))
    ended = operations.order(order(q, Verb.MOVE, to=to.name), **BY)
    assert (ended.done, q.stats().held, to.stats().ready) == (5, 0, 5)
    with pytest.raises(InvalidArgument):
        operations.order(order(q, Verb.MOVE, to=q.name), **BY)


def test_whoever_comes_carries_on_what_its_process_left(q: Queue) -> None:
    q.publish_many(range(2 * STEP + 7))
    wanted = order(q)
    operations.order(wanted, within_s=0, **BY)
    while carrying.carry_all():
        pass
    ended = operations.standing(wanted.op)
    assert (ended.state, ended.done, q.stats().ready) == (SweepState.DONE, 2 * STEP + 7, 0)
    assert ended.ended_at is not None


def test_a_step_whose_process_died_before_it_was_noted_is_not_made_twice(q: Queue) -> None:
    q.publish_many(range(2 * STEP))
    wanted = order(q, at_most=2 * STEP)
    before = operations.order(wanted, within_s=0, **BY)
    carrying.carry_all()
    # As its row would stand if the process had died between the step and the commit.
    QueueSweep.objects.filter(op=wanted.op).update(
        done=before.done, steps=before.steps, cursor=before.cursor, state=SweepState.RUNNING
    )
    q.publish("later")
    while carrying.carry_all():
        pass
    ended = operations.standing(wanted.op)
    assert (ended.state, ended.done) == (SweepState.DONE, 2 * STEP)
    assert [each.body for each in q.reserve(batch=10)] == ["later"]


def test_no_sweeper_begins_what_was_never_begun(q: Queue) -> None:
    q.publish("x")
    wanted = order(q)
    QueueSweep.objects.create(
        op=wanted.op,
        verb="purge",
        store=q.store.alias,
        queue=q.name,
        **{"at_most": 10_000, "state": SweepState.RUNNING, **BY},
    )
    assert carrying.carry_all() == 0
    assert q.stats().ready == 1
    assert operations.order(wanted, **BY).done == 1, "who asks again begins it"


def test_the_same_op_is_the_same_order_and_another_order_with_it_is_refused(q: Queue) -> None:
    q.publish_many(range(3))
    wanted = order(q, at_most=3)
    operations.order(wanted, **BY)
    q.publish("later")
    again = operations.order(wanted, **BY)
    assert (again.done, q.stats().ready) == (3, 1)
    with pytest.raises(InvalidArgument, match="another order"):
        operations.order(Order(op=wanted.op, verb=Verb.PURGE, place=place(q), at_most=4), **BY)
    assert q.stats().ready == 1


def test_a_sweep_that_is_stopped_says_where_it_stood_and_may_go_on(q: Queue) -> None:
    q.publish_many(range(2 * STEP))
    wanted = order(q)
    operations.order(wanted, within_s=0, **BY)
    stopped = operations.stop(wanted.op, actor="bob")
    carrying.carry_all()
    assert (stopped.state, stopped.done, stopped.ended_by) == (SweepState.STOPPED, STEP, "bob")
    assert q.stats().ready == STEP
    ended = operations.go_on(wanted.op, actor="ann")
    assert (ended.state, ended.done, q.stats().ready) == (SweepState.DONE, 2 * STEP, 0)


def test_a_redrive_into_a_full_queue_waits_and_goes_on(using: str) -> None:
    q = queue(f"op:{secrets.token_hex(5)}", using=using, max_length=STEP + 10)
    bury(q, STEP + 10)
    q.publish_many(range(5))
    wanted = order(q, Verb.REDRIVE)
    first = operations.order(wanted, within_s=0, **BY)
    assert (first.state, first.done) == (SweepState.RUNNING, STEP)
    for _ in range(2):
        carrying.carry(wanted.op, within_s=0)
    waits = operations.standing(wanted.op)
    assert (waits.state, waits.done) == (SweepState.RUNNING, STEP + 5)
    assert waits.error.startswith("queue_full")
    assert waits.due_at > timezone.now()
    drained(q)
    assert operations.go_on(wanted.op, actor="ann").state == SweepState.DONE
    assert q.stats().dead == 0


def test_a_full_queue_takes_nothing_and_the_order_has_failed(using: str) -> None:
    q = queue(f"op:{secrets.token_hex(5)}", using=using, max_length=2)
    bury(q, 2)
    q.publish_many("ab")
    wanted = order(q, Verb.REDRIVE)
    with pytest.raises(QueueFull):
        operations.order(wanted, **BY)
    assert operations.standing(wanted.op).state == SweepState.FAILED
    assert (q.stats().ready, q.stats().dead) == (2, 2)


@pytest.mark.parametrize(
    "change", [{"at_most": 0}, {"op": "short"}, {"op": "with space inside"}, {"verb": Verb.MOVE}]
)
def test_an_order_without_sense_is_refused_and_not_kept(
    redis_queue: Queue, change: dict[str, Any]
) -> None:
    redis_queue.publish("x")
    wanted = order(redis_queue)
    fields = {word: getattr(wanted, word) for word in ("op", "verb", "place", "at_most", "to")}
    with pytest.raises(ValueError, match=r"op must|at_most must|name"):
        operations.order(Order(**fields | change), **BY)
    for unsaid in ({"actor": ""}, {"reason": "short"}):
        with pytest.raises(InvalidArgument):
            operations.order(wanted, **BY | unsaid)
    assert not QueueSweep.objects.exists()
    assert redis_queue.stats().ready == 1


def test_a_store_that_does_not_answer_leaves_an_order_that_says_so(
    redis_queue: Queue, freeze_redis: Callable[[], None]
) -> None:
    redis_queue.publish("x")
    wanted = order(redis_queue)
    freeze_redis()
    with pytest.raises((StoreUnavailable, OutcomeUnknown)):
        operations.order(wanted, **BY)
    row = operations.standing(wanted.op)
    assert row.state in {SweepState.FAILED, SweepState.STOPPED}
    assert row.error
    assert row.done == 0


def test_a_store_that_stops_answering_holds_a_sweep_up_and_loses_it_not(
    redis_queue: Queue, freeze_redis: Callable[[], None]
) -> None:
    redis_queue.publish_many(range(2 * STEP))
    wanted = order(redis_queue)
    operations.order(wanted, within_s=0, **BY)
    freeze_redis()
    assert carrying.carry_all() == 0
    row = operations.standing(wanted.op)
    assert (row.state, row.done, row.failures) == (SweepState.RUNNING, STEP, 1)
    assert row.due_at > timezone.now()


def test_pausing_and_resuming_are_told_once(q: Queue) -> None:
    held = {"publishing": False, "consuming": True}
    assert operations.pause(place(q), **held, **BY)
    assert not operations.pause(place(q), **held, **BY)
    stats = q.stats()
    assert (stats.publishing_paused, stats.consuming_paused) == (False, True)
    assert operations.resume(place(q), **BY)
    assert not operations.resume(place(q), **BY)
    with pytest.raises(InvalidArgument):
        operations.pause(place(q), publishing=False, consuming=False, **BY)


def test_one_message_is_thrown_away_or_moved_or_given_another_chance(q: Queue, using: str) -> None:
    bury(q, 3)
    letters = Place(store=using, name=f"{q.name}.dlq")
    first, second, third = (each.id for each in queue(letters.name, using=using).peek(3))
    assert operations.requeue(place(q), first, **BY)
    assert not operations.requeue(place(q), first, **BY)
    assert operations.discard(letters, second, **BY)
    assert not operations.discard(letters, second, **BY)
    assert operations.move(letters, third, to=f"{q.name}:to", **BY)
    found = operations.find(place(q), first)
    assert found is not None
    assert found.body == 0
    assert operations.find(letters, second) is None
    with pytest.raises(InvalidArgument):
        operations.discard(letters, third, actor="ann", reason="no")


def test_rabbitmq_sweeps_and_stops_where_nobody_can_say(rabbitmq_queues: str) -> None:
    q = queue(f"op:{secrets.token_hex(5)}", using=rabbitmq_queues)
    q.publish_many(range(STEP + 20))
    wanted = order(q)
    first = operations.order(wanted, within_s=0, **BY)
    assert (first.state, first.done) == (SweepState.RUNNING, STEP)
    long_ago = timezone.now() - 2 * carrying.LOST_AFTER - timedelta(seconds=1)
    QueueSweep.objects.update(stepping=True, stepped_at=long_ago)
    carrying.carry_all()
    row = operations.standing(wanted.op)
    assert row.state == SweepState.STOPPED
    assert "nobody knows" in row.error
    assert operations.go_on(wanted.op, actor="ann").state == SweepState.DONE
    for call in (
        lambda: operations.pause(place(q), publishing=True, consuming=True, **BY),
        lambda: operations.discard(place(q), "x", **BY),
        lambda: operations.find(place(q), "x"),
    ):
        with pytest.raises(NotSupportedByStore):
            call()


def test_a_sweeper_that_is_killed_in_a_step_leaves_the_rest_to_the_next(
    postgresql_queues: str, process_environment: dict[str, str], tmp_path: Path
) -> None:
    q = queue(f"op:{secrets.token_hex(5)}", using=postgresql_queues)
    q.publish_many(range(3 * STEP))
    wanted = order(q, at_most=3 * STEP)
    operations.order(wanted, within_s=0, **BY)
    q.publish_many(["later"] * 5)
    (tmp_path / "queue.sweep.step.after.arm").write_text(json.dumps({"action": "kill"}))
    failing = {"CONCORD_FAILPOINTS_DIR": str(tmp_path), "FAILPOINTS": "1"}
    command = [sys.executable, "manage.py", "concord", "sweep", "--once"]
    killed = subprocess.run(
        command, env=process_environment | failing, cwd=ROOT, check=False, timeout=60
    )
    stood = operations.standing(wanted.op)
    subprocess.run(command, env=process_environment, cwd=ROOT, check=True, timeout=60)
    subprocess.run(command, env=process_environment, cwd=ROOT, check=True, timeout=60)

    ended = operations.standing(wanted.op)
    assert killed.returncode == -9
    assert (stood.state, stood.done) == (SweepState.RUNNING, STEP), "its step was not noted"
    assert (ended.state, ended.done) == (SweepState.DONE, 3 * STEP)
    assert {each.body for each in drained(q)} == {"later"}
