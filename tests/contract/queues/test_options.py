"""Delay, priority, groups, dedup, expiry, bounds and pauses."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coordination import Message
from coordination.exceptions import QueueFull, QueuePaused
from coordination.queues.api import Queue
from coordination.queues.types import Capability, State
from tests.contract.locks.asking import pass_time
from tests.contract.queues.taking import DEADLINE_S, balanced, drained, one, until


@pytest.mark.needs(Capability.DELAY)
def test_a_delayed_message_comes_when_it_is_due(q: Queue) -> None:
    q.publish("later", delay=0.3)
    q.publish("at", eta=datetime.now(UTC) + timedelta(seconds=0.6))
    q.publish("past", eta=datetime.now(UTC) - timedelta(seconds=60))
    assert [each.body for each in drained(q)] == ["past"]
    assert q.stats().delayed == 2
    assert one(q).body == "later"
    assert one(q).body == "at"


@pytest.mark.needs(Capability.GROUPS)
def test_of_a_group_one_is_taken_at_a_time_in_order(q: Queue) -> None:
    q.publish_many([Message(("a", n), group="a") for n in range(3)])
    q.publish_many([Message(("b", n), group="b") for n in range(2)])
    first, other = q.reserve(batch=10)
    assert (first.body, other.body) == (["a", 0], ["b", 0])
    assert q.reserve(batch=10) == []
    first.nack(delay=0)
    again = one(q)
    assert (again.body, again.attempts) == (["a", 0], 2)
    again.ack()
    assert one(q).body == ["a", 1]
    other.reject()
    assert one(q).body == ["b", 1]
    balanced(q)


@pytest.mark.needs(Capability.GROUPS)
def test_a_group_goes_on_when_its_first_message_is_taken_away(made: Callable[..., Queue]) -> None:
    q = made(visibility=0.05, max_attempts=1)
    q.publish_many([Message(n, group="g") for n in range(3)])
    assert one(q).body == 0  # and its taker vanishes: it has had its last attempt
    assert one(q).body == 1
    assert one(q).body == 2
    until(lambda: not q.reserve() and q.stats().dead == 3)
    balanced(q)


@pytest.mark.needs(Capability.DEDUP)
def test_a_dedup_id_is_one_message(q: Queue) -> None:
    first = q.publish("a", dedup_id="order-1")
    assert q.publish("b", dedup_id="order-1") == first
    ids = q.publish_many(
        [Message("c", dedup_id="order-2"), Message("d", dedup_id="order-2"), Message("e")]
    )
    assert ids[0] == ids[1] != ids[2]
    assert [each.body for each in drained(q)] == ["a", "c", "e"]
    assert q.publish("f", dedup_id="order-1") == first
    assert drained(q) == []
    balanced(q)


@pytest.mark.needs(Capability.DEDUP)
def test_the_same_dedup_id_in_another_queue_is_another_message(
    q: Queue, made: Callable[..., Queue], using: str
) -> None:
    from coordination import queue

    other = queue(f"{q.name}:other", using=using)
    assert q.publish(1, dedup_id="x") != other.publish(1, dedup_id="x")
    assert len(drained(other)) == 1


@pytest.mark.needs(Capability.EXPIRY, Capability.DELAY, Capability.PEEK)
def test_an_expired_message_is_thrown_away_and_counted(q: Queue) -> None:
    q.publish("soon over", expires=0.05)
    q.publish("soon over, and late", expires=0.05, delay=0.1)
    until(lambda: q.peek()[0].expires_at < q.stats().at)
    q.publish("for ever")
    assert one(q).body == "for ever"
    until(lambda: not q.reserve() and q.stats().held == 1)
    totals = q.stats().totals
    assert totals is None or totals.expired == 2
    balanced(q)


@pytest.mark.needs(Capability.EXPIRY)
def test_what_has_expired_is_never_given_out_however_much_it_is(q: Queue) -> None:
    for _ in range(3):
        q.publish_many([Message("over", expires=0.3)] * 1000)
    q.publish("for ever")
    pass_time(0.4)
    assert [each.body for each in q.reserve(batch=5)] == ["for ever"]
    until(lambda: not q.reserve() and q.stats().held == 1)
    balanced(q)


@pytest.mark.needs(Capability.EXPIRY, Capability.GROUPS)
def test_a_group_goes_on_behind_however_much_has_expired(q: Queue) -> None:
    for _ in range(3):
        q.publish_many([Message("over", group="g", expires=0.3)] * 1000)
    q.publish("for ever", group="g")
    pass_time(0.4)
    assert [each.body for each in q.reserve(batch=5)] == ["for ever"]
    balanced(q)


def test_who_repeats_a_call_whose_messages_are_settled_waits_like_others(q: Queue) -> None:
    q.publish("x")
    (message,) = q.reserve(op_id="a", wait=DEADLINE_S)
    message.ack()
    begun = time.process_time()
    assert q.reserve(op_id="a", wait=1.5) == []
    assert time.process_time() - begun < 0.3


@pytest.mark.needs(Capability.EXPIRY)
def test_a_message_does_not_expire_in_the_hands_of_its_taker(q: Queue) -> None:
    q.publish("x", expires=0.1)
    message = one(q)
    assert q.reserve(wait=0.3) == []
    message.ack()
    balanced(q)


@pytest.mark.needs(Capability.EXPIRY, Capability.GROUPS)
def test_a_group_goes_on_when_its_first_message_expires(q: Queue) -> None:
    q.publish("x", group="g", expires=0.05, delay=0.5)
    q.publish("y", group="g")
    assert one(q).body == "y"
    balanced(q)


@pytest.mark.needs(Capability.BOUND)
def test_a_full_queue_refuses_all_of_a_batch(made: Callable[..., Queue]) -> None:
    q = made(max_length=3)
    q.publish_many(range(2))
    with pytest.raises(QueueFull) as told:
        q.publish_many(range(2))
    assert told.value.applied is False
    with pytest.raises(QueueFull):
        q.publish_many([Message(n, priority=n) for n in range(2)])
    assert q.stats().ready == 2
    q.publish("third")
    message = one(q)
    with pytest.raises(QueueFull):
        q.publish("what is taken counts, too")
    message.ack()
    q.publish("fourth")
    balanced(q)


@pytest.mark.needs(Capability.BOUND, Capability.EXPIRY, Capability.GROUPS)
@pytest.mark.parametrize("options", [{}, {"group": "g"}], ids=["plain", "of a group"])
@pytest.mark.parametrize("coming", [{}, {"priority": 1}], ids=["then plain", "then with priority"])
def test_what_has_expired_takes_no_room(
    made: Callable[..., Queue], options: dict[str, Any], coming: dict[str, Any]
) -> None:
    q = made(max_length=300)
    q.publish_many([Message("over", expires=0.3, **options)] * 300)
    pass_time(0.4)
    q.publish_many([Message("new", **coming)] * 300)
    with pytest.raises(QueueFull):
        q.publish("one too many")
    assert [each.body for each in drained(q)] == ["new"] * 300
    balanced(q)


@pytest.mark.needs(Capability.PAUSE)
def test_a_paused_queue_takes_and_gives_nothing(q: Queue) -> None:
    q.publish_many(range(2))
    message = one(q)
    q.pause(actor="ann", reason="maintenance")
    with pytest.raises(QueuePaused):
        q.publish("x")
    assert q.reserve() == []
    message.ack()
    stats = q.stats()
    assert (stats.publishing_paused, stats.consuming_paused) == (True, True)
    q.pause(publishing=False)
    q.publish("x")
    q.resume()
    assert [each.body for each in drained(q)] == [1, "x"]
    balanced(q)


@pytest.mark.needs(Capability.PEEK, Capability.PRIORITY)
def test_looking_takes_nothing(q: Queue) -> None:
    q.publish("low", headers={"k": "v"})
    q.publish("high", priority=3)
    q.publish("late", delay=60)
    assert [each.body for each in q.peek()] == ["high", "low"]
    assert [each.body for each in q.peek(1)] == ["high"]
    assert q.peek()[1].headers == {"k": "v"}
    (late,) = q.peek(state="delayed")
    assert late.at is not None
    assert 55 < (late.at - q.stats().at).total_seconds() < 61
    taken = one(q)
    (flying,) = q.peek(state=State.IN_FLIGHT)
    assert (flying.id, flying.attempts) == (taken.id, 1)
    assert q.stats().held == 3
