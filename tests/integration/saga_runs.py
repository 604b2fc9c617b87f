"""Sagas whose steps are run by workers, and what must be true of a saga whoever died in it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings as django_settings
from django.test import override_settings

from coordination.transactions import breakers, sweeper, tasks
from coordination.transactions.api import DistributedTransaction
from coordination.transactions.tables import Branch, Transaction
from tests.integration import broker, saga_steps
from tests.integration.ledger import execute, prepared
from tests.integration.saga_steps import ALIASES, journal

DUE = "UPDATE concord_transaction SET next_at = now() - interval '1 second' WHERE ended_at IS NULL"
EXPIRED = f"{DUE} AND outcome IS NULL"
EXPIRED = EXPIRED.replace("SET", "SET deadline_at = now() - interval '1 second',")

TASKS: dict[str, Callable[..., Any]] = {
    "bank.prepare": tasks.prepare_branches,
    "bank.finish": tasks.finish_branches,
}


@contextmanager
def by_workers(*, branches_per_message: int = 64) -> Iterator[None]:
    """Let every step be run for a message."""
    ours = django_settings.COORDINATION
    routes = {
        "PARTICIPANTS": [("test.saga.*", ours["NODE"])],
        "TRANSACTIONS": ours["TRANSACTIONS"] | {"BRANCHES_PER_MESSAGE": branches_per_message},
    }
    with override_settings(COORDINATION=django_settings.COORDINATION | routes):
        yield


def taken() -> list[tuple[str, dict[str, Any]]]:
    """The messages to this node's workers, with the queue of each; they are in it no more."""
    found = [(queue, each.kwargs) for queue in TASKS for each in broker.messages(queue)]
    with broker.queues() as client:
        client.delete(*TASKS)
    return found


def deliver(messages: list[tuple[str, dict[str, Any]]]) -> None:
    for queue, kwargs in messages:
        TASKS[queue](**kwargs)


def work_off() -> None:
    """Let workers do what is in their queues, each message twice, until nothing is."""
    while messages := taken():
        for message in messages:
            deliver([message, message])


def sweep_until_it_ended(gid: str) -> Transaction:
    """What sweeper and workers make of what is left."""
    for _ in range(8):
        execute("default", DUE)
        execute("default", "UPDATE concord_branch SET next_at = NULL")
        breakers.clear()
        sweeper.sweep_once()
        work_off()
        row = Transaction.objects.get(gid=gid)
        if row.ended_at is not None:
            return row
    raise AssertionError(list(Branch.objects.filter(transaction=gid).values()))


def enlist_three(tx: DistributedTransaction, *, refuse: bool = False) -> None:
    """Three steps in three databases, which move money and keep the sum."""
    tx.enlist("test.saga.a", step="1", cents=-10)
    tx.enlist("test.saga.b", step="2", cents=4)
    tx.enlist("test.saga.home", step="3", cents=6, refuse=refuse)


def enlist_pivot(tx: DistributedTransaction) -> None:
    """A step, the pivot, and one behind it."""
    tx.enlist("test.saga.a", step="1", cents=-10)
    tx.enlist("test.saga.ship_b", pivot=True, step="2", cents=4)
    tx.enlist("test.saga.ship_a", step="3", cents=6)


def assert_all_or_nothing(row: Transaction) -> None:
    """Each step was done once, in its turn, and undone if the saga was aborted, in reverse."""
    told = journal()
    done = [word.removeprefix("action ") for word in told if word.startswith("action")]
    undone = [word.removeprefix("compensate ") for word in told if word.startswith("compensate")]
    assert done == ["1", "2", "3"][: len(done)]
    assert told == [f"action {step}" for step in done] + [f"compensate {step}" for step in undone]
    if row.outcome == "committed":
        assert (len(done), undone) == (3, [])
    else:
        assert undone == done[::-1]
    assert saga_steps.total() == 300
    assert row.heuristic == ""
    assert [prepared(using) for using in ALIASES] == [[], [], []]
