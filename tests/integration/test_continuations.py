"""Celery tasks that start when they are granted a lock, with real workers and keepers."""

import os
import signal
from collections.abc import Iterator

import pytest
from celery import current_app, signature
from django.conf import settings as django_settings
from pytest_django import Settings

from config.servers import Servers
from coordination import lock
from coordination.locks import tasks
from coordination.locks.continuations.tables import Continuation
from coordination.locks.types import LockInfo
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import broker, lock_bodies
from tests.stack import Stack, wait_until

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

WORKER = (
    *("-m", "celery", "--quiet", "--app", "config", "worker", "--without-gossip"),
    *("--without-mingle", "--without-heartbeat", "--loglevel", "ERROR", "--pool", "prefork"),
    *("--include", "tests.integration.lock_bodies", "--queues", "bank.call,celery"),
    *("--concurrency", "1"),
)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return f"test:{request.node.name[:60]}"


@pytest.fixture
def stack(
    process_environment: dict[str, str], servers: Servers, settings: Settings
) -> Iterator[Stack]:
    """One worker with one process, and one keeper."""
    settings.COORDINATION = django_settings.COORDINATION | {"CONTINUATIONS": ["test.*"]}
    with lock_bodies.redis() as client:
        client.delete(lock_bodies.TOLD)
    broker.clear()
    running = Stack(servers, process_environment)
    running.run("worker", (*WORKER, "-n", "locks@%h"))
    running.start("sweep")
    try:
        yield running
    finally:
        running.stop()


def run_locked(name: str, who: str, *, seconds: float = 0, **options: object) -> dict[str, object]:
    told: dict[str, object] = tasks.run_locked(
        name, signature("test.body", (who, seconds)), op_id=f"{name}-{who}", **options
    )
    assert told["ok"], told
    return told


def until_told(count: int, *, within_s: float = 30) -> list[list[str]]:
    wait_until(
        f"{count} lines are told", lambda: len(lock_bodies.told()) >= count, within_s=within_s
    )
    return lock_bodies.told()


def until_kept(count: int) -> None:
    """A place that is handed the lock before a keeper knows of it goes to the end of the queue."""
    wait_until(
        f"{count} places are kept",
        lambda: Continuation.objects.exclude(keeper="").count() == count,
    )


def seen(name: str) -> LockInfo:
    return lock(name).info()


def test_tasks_run_one_after_the_other_in_the_order_of_asking(stack: Stack, name: str) -> None:
    with lock(name):
        for who in "abc":
            run_locked(name, who)
        assert len(seen(name).waiters) == 3
        until_kept(3)

    told = until_told(6)

    assert [(what, who) for what, who, _ in told] == [
        (what, who) for who in "abc" for what in ("begin", "end")
    ]
    tokens = [int(token) for _, _, token in told[::2]]
    assert tokens == sorted(set(tokens))
    wait_until("the lock is free", lambda: seen(name).holders == ())
    assert set(Continuation.objects.values_list("state", flat=True)) == {"done"}


def test_no_worker_waits_for_the_lock(stack: Stack, name: str) -> None:
    """The one process there is runs something else meanwhile."""
    with lock(name):
        run_locked(name, "waits")
        run_locked(f"{name}:other", "goes")
        assert until_told(2) == [*lock_bodies.told()]
        assert [who for _, who, _ in lock_bodies.told()] == ["goes", "goes"]
    until_told(4)


def test_a_message_delivered_twice_runs_once(stack: Stack, name: str) -> None:
    continuation = run_locked(name, "once", seconds=1)["continuation"]
    until_told(1)
    for _ in range(3):
        current_app.send_task("coordination.lock.run_granted", (continuation, 1))
    run_locked(name, "after")

    assert [line[:2] for line in until_told(4)] == [
        *(["begin", "once"], ["end", "once"]),
        *(["begin", "after"], ["end", "after"]),
    ]


def test_the_same_op_id_queues_once(stack: Stack, name: str) -> None:
    with lock(name):
        told = [run_locked(name, "once") for _ in range(2)]
        assert told[0]["continuation"] == told[1]["continuation"]
        other = tasks.run_locked(name, signature("test.body", ("x",)), op_id=f"{name}-once")
        assert (other["ok"], other["code"]) == (False, "invalid_argument")
        assert "another signature" in other["message"]
        assert len(seen(name).waiters) == 1


def test_who_is_not_served_in_time_is_told_and_never_runs(stack: Stack, name: str) -> None:
    with lock(name):
        run_locked(name, "late", wait=1, on_timeout=signature("test.late", ("late",)))
        assert until_told(1) == [["late", "late"]]
        wait_until("it left the queue", lambda: seen(name).waiters == ())
    run_locked(name, "after")

    assert [line[:2] for line in until_told(3)[1:]] == [["begin", "after"], ["end", "after"]]
    assert Continuation.objects.get(state="timed_out").told


def test_a_task_whose_worker_was_killed_begins_again_with_a_newer_token(
    stack: Stack, name: str
) -> None:
    run_locked(name, "killed", seconds=3, ttl=2)
    until_told(1)
    for pid in children(stack.pid("worker")):
        os.kill(pid, signal.SIGKILL)
    os.kill(stack.pid("worker"), signal.SIGKILL)

    told = until_told(3, within_s=60)

    assert [what for what, _, _ in told] == ["begin", "begin", "end"]
    assert int(told[1][2]) > int(told[0][2])


def test_a_keeper_that_was_killed_loses_no_place(stack: Stack, name: str) -> None:
    with lock(name):
        run_locked(name, "first")
        wait_until("it is kept", lambda: kept_by() != "")
        killed = kept_by()
        os.kill(stack.pid("sweep"), signal.SIGKILL)
        run_locked(name, "second")
        # The store keeps the place of one who does not ask for 15 seconds.
        wait_until("another keeper has it", lambda: kept_by() not in ("", killed))

    assert [who for _, who, _ in until_told(4)] == ["first", "first", "second", "second"]


def test_the_lock_is_given_back_when_the_task_fails(stack: Stack, name: str) -> None:
    tasks.run_locked(name, signature("test.failing"), op_id=f"{name}-failing")
    until_told(1)
    run_locked(name, "after")

    until_told(3)
    failed = Continuation.objects.get(state="failed")
    assert failed.error == "ValueError: as planned"


def test_then_is_sent_with_the_token_and_the_lock_is_its_own_to_give_back(
    stack: Stack, name: str
) -> None:
    told = tasks.acquire(name, op_id=name, then=signature("test.body", ("then",)), ttl=60)
    assert told["ok"], told

    (_, _, token), *_ = until_told(2)

    (holder,) = seen(name).holders
    assert holder.token == int(token)
    assert tasks.release(name, grant=holder.id)["ok"]
    assert seen(name).holders == ()


def kept_by() -> str:
    return Continuation.objects.earliest("created_at").keeper


def children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as listed:  # noqa: PTH123
        return [int(child) for child in listed.read().split()]
