"""Attempts are counted before each body; the last one makes a dead letter, which is never lost."""

from collections.abc import Callable

import pytest

from coordination import queue
from coordination.queues import machine
from coordination.queues.api import Queue
from coordination.queues.types import Capability, State
from tests.contract.queues.taking import balanced, drained, one


def test_a_dead_letter_keeps_everything(made: Callable[..., Queue], using: str) -> None:
    q = made(max_attempts=1)
    id_ = q.publish({"n": 1}, headers={"h": 1})
    one(q).nack(error=ValueError("no such address"))
    assert (q.stats().held, q.stats().dead) == (0, 1)
    letter = one(queue(f"{q.name}.dlq", using=using))
    assert (letter.id, letter.body, letter.headers) == (id_, {"n": 1}, {"h": 1})
    assert (letter.source, letter.error) == (q.name, "ValueError: no such address")
    letter.ack()
    balanced(q)
    balanced(letter.queue)


def test_a_rejected_message_is_dead_at_once(q: Queue) -> None:
    q.publish("x")
    one(q).reject(error="nonsense")
    assert (q.stats().held, q.stats().dead) == (0, 1)
    balanced(q)


def test_what_fails_in_a_dead_letter_queue_stays_there(
    made: Callable[..., Queue], using: str
) -> None:
    q = made(max_attempts=1)
    q.publish("x")
    one(q).reject()
    letters = queue(f"{q.name}.dlq", using=using)
    for attempt in range(1, 8):
        letter = one(letters)
        assert letter.attempts == attempt
        letter.nack(delay=0)
    one(letters).reject()
    assert letters.stats().held == 1
    balanced(letters)


@pytest.mark.needs(Capability.BOUND)
def test_a_full_dead_letter_queue_takes_dead_letters(
    made: Callable[..., Queue], name: str, using: str
) -> None:
    letters = queue(f"{name}.dlq", using=using, max_length=1, dead_letter=None)
    letters.publish("it is full")
    q = made()
    q.publish_many(range(3))
    q.reject(q.reserve(batch=3))
    assert letters.stats().held == 4
    balanced(q)
    balanced(letters)


def test_a_message_whose_taker_vanished_comes_again_as_a_suspect_and_alone(
    made: Callable[..., Queue],
) -> None:
    q = made(visibility=0.05)
    q.publish_many(range(3))
    q.reserve(batch=2)  # and never heard of again
    seen = []
    while len(seen) < 3:
        taken = q.reserve(batch=10, wait=5)
        assert len(taken) == 1 or not any(each.suspect for each in taken)
        q.ack(taken)
        seen += [(each.body, each.attempts, each.suspect) for each in taken]
    assert sorted(seen) == [(0, 2, True), (1, 2, True), (2, 1, False)]
    balanced(q)


def test_a_message_that_kills_its_takers_is_a_dead_letter_in_the_end(
    made: Callable[..., Queue], using: str
) -> None:
    q = made(visibility=0.03, max_attempts=3)
    id_ = q.publish("poison")
    assert [one(q).attempts for _ in range(3)] == [1, 2, 3]
    assert q.reserve(wait=0.3) == []
    assert (q.stats().held, q.stats().dead) == (0, 1)
    letter = one(queue(f"{q.name}.dlq", using=using))
    assert (letter.id, letter.source) == (id_, q.name)
    assert "said nothing" in (letter.error or "")
    balanced(q)


@pytest.mark.needs(Capability.PEEK)
def test_the_pause_grows_with_each_attempt(q: Queue) -> None:
    q.publish("x")
    message = one(q)
    message.nack(error="busy")
    (seen,) = q.peek(state=State.DELAYED)
    assert (seen.id, seen.attempts, seen.error) == (message.id, 1, "busy")
    assert seen.at is not None
    assert 0.4 < (seen.at - q.stats().at).total_seconds() <= 1.0


@pytest.mark.needs(Capability.EXTEND)
def test_an_extended_lease_does_not_lapse(made: Callable[..., Queue]) -> None:
    q = made(visibility=0.1)
    q.publish("x")
    message = one(q)
    message.extend(30)
    assert q.reserve(wait=0.4) == []
    message.ack()
    balanced(q)


def test_attempts_are_those_of_the_receipt(q: Queue) -> None:
    q.publish("x")
    message = one(q)
    assert machine.attempts_of(message.receipt) == message.attempts == 1
    message.ack()
    assert drained(q) == []
