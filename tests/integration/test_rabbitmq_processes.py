"""Processes that work on queues in RabbitMQ: killed, forked, slow or idle ones."""

import json
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from coordination import failpoints, queue
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
    # The child may have ended before the broker heard of its ack: what comes again is dropped.
    until(lambda: not q.reserve() and q.stats().held == 0)


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


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_delay_lasts_and_is_over_once_though_its_process_is_killed(
    q: Queue, moment: str, tmp_path: Path
) -> None:
    """Before it has published the message for later, or before it has acked the one in hand."""
    q.publish("x")

    def put_off_and_die() -> bool:
        failpoints._directory = str(tmp_path)
        (tmp_path / f"rabbitmq.delay.{moment}.arm").write_text(json.dumps({"action": "kill"}))
        one(q).nack(delay=1.5)
        return False

    begun = time.monotonic()
    _, status = os.waitpid(fork(put_off_and_die), 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    message = one(q)
    assert time.monotonic() - begun >= 1.5
    assert (message.attempts, message.suspect) == (2, False)
    # Should there be another copy of it, it comes now.
    assert q.reserve(wait=1) == []
    message.ack()
    assert q.reserve(wait=1.5) == []
    assert q.stats().held == 0


@pytest.mark.parametrize("max_attempts", [1, 5])
def test_of_a_message_that_was_published_twice_one_is_worked_on(
    q: Queue, max_attempts: int
) -> None:
    q = queue(f"{q.name}:twice", using="rabbitmq", max_attempts=max_attempts)
    assert q.publish("x", op_id="order-7") == q.publish("x", op_id="order-7")
    taken, taking = os.pipe()
    go_on, going = os.pipe()

    def work() -> bool:
        os.close(going)
        message = one(q)
        os.write(taking, b"!")
        os.read(go_on, 1)
        message.ack()
        return message.attempts == 1

    child = fork(work)
    try:
        os.read(taken, 1)
        assert q.reserve(wait=1) == []
    finally:
        # The child goes on, also when this fails.
        os.close(going)
    assert succeeded(child)
    assert q.reserve(wait=0.5) == []
    assert (q.stats().held, q.stats().dead) == (0, 0)


def test_of_a_message_that_was_published_twice_one_is_left_when_a_taker_is_killed(q: Queue) -> None:
    for _ in range(2):
        q.publish("x", op_id="order-7")

    def take_and_die() -> bool:
        one(q)
        os.kill(os.getpid(), signal.SIGKILL)
        return False

    os.waitpid(fork(take_and_die), 0)
    message = one(q)
    assert (message.body, message.attempts, message.suspect) == ("x", 2, True)
    message.ack()
    assert q.reserve(wait=0.5) == []
    assert q.stats().held == 0


def test_a_letter_whose_taker_was_killed_may_die_again_after_a_redrive(q: Queue) -> None:
    letters = queue(f"{q.name}.dlq", using="rabbitmq")
    q.publish("x")
    one(q).reject()
    until(lambda: q.stats().dead == 1)

    def take_and_die() -> bool:
        one(letters)
        os.kill(os.getpid(), signal.SIGKILL)
        return False

    os.waitpid(fork(take_and_die), 0)
    until(lambda: q.redrive() == 1)
    one(q).reject(error="again")
    letter = one(letters)
    assert (letter.error, letter.attempts) == ("again", 1)
    letter.ack()
