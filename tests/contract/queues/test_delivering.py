"""What is published is taken, once for each attempt, and gone when it is acked."""

import pytest

from coordination import Message
from coordination.exceptions import StaleReceipt
from coordination.queues.api import Queue
from coordination.queues.types import Capability
from tests.contract.queues.taking import balanced


def test_what_is_published_is_taken_and_gone_when_acked(q: Queue) -> None:
    id_ = q.publish({"to": "ann", "n": [1, 2.5, None, "ü\n"]}, headers={"trace": "t-1"})
    (message,) = q.reserve(wait=5)
    assert (message.id, message.attempts) == (id_, 1)
    assert message.body == {"to": "ann", "n": [1, 2.5, None, "ü\n"]}
    assert message.headers == {"trace": "t-1"}
    message.ack()
    stats = q.stats()
    assert (stats.ready, stats.delayed, stats.in_flight) == (0, 0, 0)
    assert q.reserve() == []


def test_messages_come_in_the_order_of_publishing(q: Queue) -> None:
    q.publish_many(range(20))
    taken = list(q.reserve(batch=12, wait=5))
    while len(taken) < 20:
        taken += q.reserve(batch=12, wait=5)
    assert [message.body for message in taken] == list(range(20))
    q.ack(taken)


@pytest.mark.needs(Capability.PRIORITY)
def test_higher_priorities_are_taken_first(q: Queue) -> None:
    q.publish_many([Message("low"), Message("high", priority=9), Message("middle", priority=5)])
    assert [each.body for each in q.reserve(batch=3)] == ["high", "middle", "low"]


@pytest.mark.needs(Capability.REFUSES_STALE)
def test_a_message_is_acked_once(q: Queue) -> None:
    q.publish("once")
    (message,) = q.reserve(wait=5)
    message.ack()
    with pytest.raises(StaleReceipt) as told:
        message.ack()
    assert told.value.receipts == (message.receipt,)


def test_a_failed_attempt_comes_again_counted(q: Queue) -> None:
    q.publish("again")
    (first,) = q.reserve(wait=5)
    first.nack(delay=0, error="no luck")
    (second,) = q.reserve(wait=5)
    assert (second.id, second.attempts) == (first.id, 2)
    second.ack()


@pytest.mark.needs(Capability.EXPIRY)
def test_plain_and_other_messages_keep_their_order(q: Queue) -> None:
    for n in range(0, 9, 3):
        q.publish_many([n, Message(n + 1, expires=60), n + 2])
        q.publish_many([f"{n}a", f"{n}b"])
    found: list[object] = []
    while taken := q.reserve(batch=4):
        found += [each.body for each in taken]
        q.ack(taken)
    assert found == [each for n in range(0, 9, 3) for each in (n, n + 1, n + 2, f"{n}a", f"{n}b")]


@pytest.mark.parametrize("batch", [1, 7, 64, 1000])
def test_whatever_is_published_together_may_be_taken_and_settled_apart(
    q: Queue, batch: int
) -> None:
    ids = q.publish_many(range(150)) + [q.publish(n) for n in range(150, 160)]
    found = []
    for turn in range(10_000):
        taken = q.reserve(batch=batch)
        if not taken:
            break
        found += [each.id for each in taken]
        if turn % 3 == 0:
            q.ack(taken)
        elif turn % 3 == 1:
            q.ack(taken[1::2])
            q.ack(taken[::2])
        else:
            for each in taken:
                each.ack()
    assert found == ids
    assert q.stats().held == 0
    balanced(q)
