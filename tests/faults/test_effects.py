"""kill -9 of whoever publishes and adds, at every step: after the sweep it was all or nothing."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections

from coordination import distributed_transaction, failpoints
from coordination.transactions import sweeper, worker
from coordination.transactions.tables import Branch, Transaction
from coordination.transactions.types import Phase
from tests.contract.locks.asking import until
from tests.databases import ALIASES, _django_db_helper
from tests.effects import (
    COUNTERS_HELD,
    QUEUES_HELD,
    Added,
    Effect,
    Published,
    effect_of,
)
from tests.integration import broker
from tests.integration.forked_child import fork, succeeded
from tests.integration.ledger import execute
from tests.queue_stores import postgresql_queues, rabbitmq_queues, redis_queues, sqlite_queues

__all__ = [
    "_django_db_helper",
    "postgresql_queues",
    "rabbitmq_queues",
    "redis_queues",
    "sqlite_queues",
]

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

HELD = [*COUNTERS_HELD, *QUEUES_HELD]
PREPARED = ["counter-database", "queue-database"]

BEGUN = ("tx.begin.after", "branch.prepare.before")
VOTED = ("branch.prepare.after", "branch.vote.before", "branch.vote.after")
ENDED = ("branch.finish.after", "branch.ack.before", "branch.ack.after")
COMMIT = (*BEGUN, "effect.held", *VOTED, "branch.finish.before", "effect.applied")
COMMIT = (*COMMIT, "branch.ended.before", *ENDED)
ABORT = ("effect.held", "branch.prepare.after", "branch.vote.before", "branch.vote.after")
ABORT = (*ABORT, "branch.finish.before", "effect.cancelled", *ENDED)
LAST = (*BEGUN, "branch.commit.before", "branch.commit.after", "branch.vote.after", *ENDED)

PAST = "UPDATE concord_transaction SET next_at = now() - interval '1 second' WHERE outcome IS NULL"
DUE = "UPDATE concord_transaction SET next_at = now() - interval '1 second' WHERE ended_at IS NULL"


@pytest.fixture(autouse=True)
def _queues(transactional_db: None) -> Iterator[None]:
    broker.clear()
    yield
    broker.clear()


@pytest.fixture
def effect(request: pytest.FixtureRequest, transactional_db: None) -> Effect:
    return effect_of(request)


def killed_at(step: str, folder: Path, *effects: Effect) -> str:
    """Let a process do it in a transaction until it is killed there; returns the gid."""
    folder.mkdir(exist_ok=True)
    (folder / f"{step}.arm").write_text(json.dumps({"action": "kill", "signal": 9}))
    tx = distributed_transaction("killed", deadline=60)
    for each in effects:
        each.enlist(tx)
    connections.close_all()

    def work() -> bool:
        failpoints._directory = str(folder)
        tx.submit()
        return True

    _, status = os.waitpid(fork(work), 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, f"{step} was not reached"
    return tx.gid


def sweep_until_it_ended(gid: str) -> str:
    """What sweeper and workers make of what is left; returns the outcome, "" if it never began."""
    for _ in range(6):
        execute("default", DUE)
        execute("default", "UPDATE concord_branch SET next_at = NULL")
        sweeper.sweep_once()
        for phase, task in ((Phase.PREPARE, worker.prepare), (Phase.FINISH, worker.finish)):
            waiting = broker.messages(f"bank.{phase}")
            with broker.queues() as client:
                client.delete(f"bank.{phase}")
            for message in waiting:
                task(**message.kwargs)
                task(**message.kwargs)  # a broker may deliver it twice
        row = Transaction.objects.filter(gid=gid).first()
        if row is None:
            return ""
        if row.ended_at is not None:
            assert row.heuristic == ""
            return row.outcome or ""
    raise AssertionError(list(Branch.objects.filter(transaction=gid).values()))


@pytest.mark.parametrize("step", COMMIT)
@pytest.mark.parametrize("effect", HELD, indirect=True)
def test_whoever_is_killed_at_any_step_of_a_commit_loses_and_doubles_nothing(
    effect: Effect, step: str, tmp_path: Path
) -> None:
    other = Added(using="redis")

    gid = killed_at(step, tmp_path / "orders", effect, other)
    outcome = sweep_until_it_ended(gid)

    assert outcome == "committed"
    assert (effect.seen(), other.seen()) == (1, 1)


@pytest.mark.parametrize("step", LAST)
@pytest.mark.parametrize("effect", PREPARED, indirect=True)
def test_the_same_where_it_is_part_of_the_database(
    effect: Effect, step: str, tmp_path: Path
) -> None:
    other = Added(using="redis")

    gid = killed_at(step, tmp_path / "orders", effect, other)
    outcome = sweep_until_it_ended(gid)

    seen = 1 if outcome == "committed" else 0
    assert outcome
    assert (effect.seen(), other.seen()) == (seen, seen)


@pytest.mark.parametrize("step", ABORT)
@pytest.mark.parametrize("effect", HELD, indirect=True)
def test_whoever_is_killed_at_any_step_of_an_abort_leaves_nothing(
    effect: Effect, step: str, tmp_path: Path
) -> None:
    """The other one comes behind and has no room, so this one was held and is let go."""
    kind = type(effect)
    other = kind(using="redis", name=f"zz{effect.name}", room=1)
    other.do()
    if effect.using != "rabbitmq":
        effect.room = 1

    gid = killed_at(step, tmp_path / "orders", effect, other)
    outcome = sweep_until_it_ended(gid)

    assert outcome == "aborted"
    assert (effect.seen(), other.seen()) == (0, 1)
    effect.do()  # its room is there again


@pytest.mark.parametrize("effect", HELD, indirect=True)
def test_whoever_is_stopped_past_the_deadline_before_he_holds_holds_nothing(
    effect: Effect, tmp_path: Path
) -> None:
    effect.room = None if effect.using == "rabbitmq" else 1
    order = {"action": "pause", "ms": 1_500}
    (tmp_path / "branch.prepare.before.arm").write_text(json.dumps(order))
    tx = distributed_transaction("stopped", deadline=1)
    effect.enlist(tx)
    effect.seen()
    connections.close_all()

    def work() -> bool:
        failpoints._directory = str(tmp_path)
        tx.submit()
        return True

    child = fork(work)
    stopped = tmp_path / "branch.prepare.before.fired"
    until(stopped.exists)
    execute("default", f"{PAST} AND deadline_at < now()")
    sweeper.sweep_once()
    assert succeeded(child)

    assert sweep_until_it_ended(tx.gid) == "aborted"
    assert effect.seen() == 0
    effect.do()  # its room is free


def test_whoever_is_killed_between_the_confirm_of_rabbitmq_and_its_record_publishes_once(
    rabbitmq_queues: str, tmp_path: Path
) -> None:
    published = Published(using=rabbitmq_queues)
    gid = killed_at("rabbitmq.confirmed", tmp_path / "orders", published)
    (taken,) = published.queue.reserve(10, wait=10)
    taken.ack()

    outcome = sweep_until_it_ended(gid)

    assert outcome == "committed"
    # It was published again, with the same id, and is dropped when it is delivered.
    assert published.queue.reserve(10, wait=1) == []
    assert published.queue.stats().ready == 0
