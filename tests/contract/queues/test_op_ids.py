"""What an op id says, and what it does not: it is one call of one queue."""

from typing import Any

import pytest

from coordination import Message, queue
from coordination.exceptions import InvalidArgument
from coordination.queues import requests
from coordination.queues.api import Queue
from coordination.queues.types import Capability
from tests.contract.queues.taking import balanced, drained, one, until


def test_dead_letters_of_two_queues_with_one_op_id_are_all_kept(name: str, using: str) -> None:
    shared = queue(f"{name}:dead", using=using)
    kept = [f"{name}:{word}" for word in ("mail", "invoice")]
    for each in kept:
        q = queue(each, using=using, dead_letter=shared.name)
        q.publish(each, op_id="order-7")
        one(q).reject(error="nonsense")
    until(lambda: shared.stats().ready == len(kept))
    letters = drained(shared)
    assert sorted((letter.body, letter.source) for letter in letters) == sorted(
        zip(kept, kept, strict=True)
    )
    balanced(shared)


@pytest.mark.needs(Capability.MOVE, Capability.PRIORITY)
def test_messages_of_two_queues_with_one_op_id_meet_and_are_all_kept(
    q: Queue, name: str, using: str
) -> None:
    other = queue(f"{name}:other", using=using)
    q.publish("mail", op_id="order-7", priority=1)
    other.publish("invoice", op_id="order-7", priority=1)
    assert other.move(q.name) == 1
    assert sorted(each.body for each in drained(q)) == ["invoice", "mail"]
    for each in (q, other):
        balanced(each)


@pytest.mark.parametrize(
    ("first", "other"),
    [
        (["a"], ["b"]),
        ([1, 2], [1, 2, 3]),
        ([1, 2], [1]),
        ([1, 2], [2, 1]),
        (["a"], [Message("a", headers={"h": 1})]),
    ],
)
def test_an_op_id_with_other_messages_is_refused_and_changes_nothing(
    q: Queue, first: list[Any], other: list[Any]
) -> None:
    ids = q.publish_many(first, op_id="order-7")
    for _ in range(2):
        with pytest.raises(InvalidArgument, match="used before"):
            q.publish_many(other, op_id="order-7")
    assert q.publish_many(first, op_id="order-7") == ids
    assert [each.body for each in drained(q)] == first
    balanced(q)


@pytest.mark.needs(Capability.PRIORITY)
def test_an_op_id_with_other_options_is_refused_and_changes_nothing(q: Queue) -> None:
    with_priority = [Message({"b": 1, "a": 2}, priority=2)]
    ids = q.publish_many(with_priority, op_id="order-7")
    for other in ([{"b": 1, "a": 2}], with_priority * 2):
        with pytest.raises(InvalidArgument, match="used before"):
            q.publish_many(other, op_id="order-7")
    # The same object, however it is written.
    assert q.publish_many([Message({"a": 2, "b": 1}, priority=2)], op_id="order-7") == ids
    assert len(drained(q)) == 1
    balanced(q)


@pytest.mark.needs(Capability.DEDUP)
def test_an_op_id_gets_the_id_of_the_first_where_its_message_was_a_duplicate(q: Queue) -> None:
    first = q.publish("x", dedup_id="d")
    for _ in range(2):
        assert q.publish("x", dedup_id="d", op_id="order-7") == first
    with pytest.raises(InvalidArgument, match="used before"):
        q.publish("x", op_id="order-7")
    assert len(drained(q)) == 1
    balanced(q)


@pytest.mark.needs(Capability.PORTABLE_RECEIPTS)
def test_an_op_id_settles_other_receipts_as_well(q: Queue, using: str) -> None:
    q.publish_many(range(3))
    receipts = [each.receipt for each in q.reserve(batch=3)]
    for some in (receipts[:1], receipts[1:], receipts[:1]):
        told = requests.ack(q.name, some, op_id="task-1", using=using)
        assert told == {"settled": len(some)}
    assert q.stats().held == 0
    balanced(q)
