"""Processes that work on queues in RabbitMQ: killed, forked, slow or idle ones."""

import os
import signal
import threading
from collections import Counter
from typing import Any

import pytest

from coordination.connections import rabbitmq_wire
from coordination.queues.api import Queue
from coordination.queues.delivery import Delivery
from tests.contract.queues.taking import drained, one, until
from tests.contract.queues.test_running import running
from tests.integration.forked_child import fork, succeeded
from tests.integration.rabbitmq_store import configured, node, q

__all__ = ["configured", "node", "q"]


def test_a_handler_may_take_longer_than_the_heartbeat(
    q: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rabbitmq_wire, "HEARTBEAT_S", 1)
    seen: list[int] = []
    over = threading.Event()

    def handler(message: Delivery) -> None:
        seen.append(message.attempts)
        over.wait(4)

    q.publish("long")
    with running(q, handler):
        until(lambda: bool(seen) and q.stats().held == 0)
    assert seen == [1]


def test_a_consumer_that_is_killed_leaves_its_message_to_another(q: Queue) -> None:
    q.publish("x")

    def take_and_die() -> bool:
        assert one(q).attempts == 1
        os.kill(os.getpid(), signal.SIGKILL)
        return False

    _, status = os.waitpid(fork(take_and_die), 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    message = one(q)
    assert (message.attempts, message.suspect) == (2, True)
    message.ack()


def test_killed_consumers_lose_nothing(q: Queue) -> None:
    q.publish_many(range(60))
    reading, writing = os.pipe()

    def work() -> bool:
        for message in q.consume(batch=5):
            os.write(writing, b"%d\n" % message.body)
            message.ack()
        return False

    with os.fdopen(reading) as told:
        done: Counter[int] = Counter()
        for _ in range(3):
            child = fork(work)
            for _ in range(10):
                done[int(told.readline())] += 1
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        os.close(writing)
        done.update(int(line) for line in told)
    done.update(each.body for each in drained_after_all(q))
    assert set(done) == set(range(60))
    # Killed between writing and acking, at most once each time.
    assert done.total() <= 60 + 3


def drained_after_all(q: Queue) -> list[Delivery]:
    """All that is left, also what suspects hold up."""
    found: list[Delivery] = []
    until(lambda: bool(found.extend(drained(q))) or q.stats().held == 0)
    return found


def test_what_a_killed_publisher_had_acknowledged_is_there(q: Queue) -> None:
    reading, writing = os.pipe()

    def publish_for_ever() -> bool:
        for number in range(10**6):
            q.publish(number)
            os.write(writing, b"%d\n" % number)
        return False

    child = fork(publish_for_ever)
    os.close(writing)
    with os.fdopen(reading) as told:
        sure = {int(told.readline()) for _ in range(30)}
        os.kill(child, signal.SIGKILL)
        sure |= {int(line) for line in told if line.endswith("\n")}
    os.waitpid(child, 0)
    found = {each.body for each in drained(q)}
    assert sure <= found
    assert len(found) <= len(sure) + 1


def test_a_child_has_connections_of_its_own(q: Queue) -> None:
    q.publish("before")
    message = one(q)

    def work() -> bool:
        q.publish("of the child")
        mine = one(q)
        mine.ack()
        return mine.body == "of the child"

    assert succeeded(fork(work))
    message.ack()
    q.publish("after")
    after = one(q)
    assert after.body == "after"
    after.ack()
    assert q.stats().held == 0


def test_what_nobody_asks_for_any_more_goes_back(q: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordination.queues.stores.rabbitmq_inbox.IDLE_S", 0.3)
    q.publish_many(range(4))
    taken = [one(q), one(q)]  # the second was given one more for whoever asks next

    def take_the_rest() -> bool:
        found: list[Any] = []
        until(lambda: bool(found.extend(e.body for e in drained(q))) or len(found) == 2)
        return sorted(found) == [2, 3]

    assert succeeded(fork(take_the_rest))
    q.ack(taken)
