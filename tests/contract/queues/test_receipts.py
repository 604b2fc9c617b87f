"""A receipt proves one attempt: whose lease passed on cannot touch the message any more."""

import dataclasses
import threading
import time
from collections.abc import Callable

import pytest

from coordination import queue
from coordination.exceptions import InvalidArgument, StaleReceipt
from coordination.queues import operation_ids
from coordination.queues.api import Queue
from coordination.queues.store import QueueStore
from coordination.queues.types import Capability, Settlement, Verb
from tests.contract.queues.taking import balanced, one

pytestmark = pytest.mark.needs(Capability.REFUSES_STALE)


@pytest.mark.parametrize("verb", ["ack", "nack", "reject", "extend"])
def test_a_stale_receipt_is_refused_and_changes_nothing(
    made: Callable[..., Queue], verb: str
) -> None:
    q = made(visibility=0.05)
    q.publish("x")
    first = one(q)
    second = one(q)
    assert (second.id, second.attempts) == (first.id, 2)
    with pytest.raises(StaleReceipt) as told:
        getattr(first, verb)()
    assert told.value.receipts == (first.receipt,)
    assert told.value.applied is False
    second.ack()
    balanced(q)


def test_of_a_batch_only_the_stale_ones_are_refused(q: Queue) -> None:
    q.publish_many(range(3))
    taken = q.reserve(batch=3)
    taken[1].ack()
    with pytest.raises(StaleReceipt) as told:
        q.ack(taken)
    assert told.value.receipts == (taken[1].receipt,)
    assert q.stats().held == 0
    balanced(q)


def test_the_same_receipt_twice_in_a_call_acks_once(q: Queue) -> None:
    q.publish("x")
    message = one(q)
    with pytest.raises(StaleReceipt):
        q.ack([message, message])
    assert q.stats().held == 0
    balanced(q)


def test_a_repeated_ack_gets_the_first_answer(q: Queue, store: QueueStore) -> None:
    q.publish("x")
    settlement = Settlement(one(q).receipt, Verb.ACK)
    op = operation_ids.new()
    for _ in range(2):
        assert store.settle(q.declared, [settlement], op=op, kept_ms=10_000) == [True]
    other = operation_ids.new()
    assert store.settle(q.declared, [settlement], op=other, kept_ms=10_000) == [False]
    balanced(q)


def test_a_repeated_reserve_gets_the_same_messages(q: Queue, store: QueueStore) -> None:
    q.publish_many(range(4))
    op = operation_ids.new()
    first = store.reserve(q.declared, op=op, count=3, kept_ms=10_000).taken
    again = store.reserve(q.declared, op=op, count=3, kept_ms=10_000).taken
    assert [each.receipt for each in again] == [each.receipt for each in first]
    assert len(first) == 3
    q.ack([first[0].receipt])
    left = store.reserve(q.declared, op=op, count=3, kept_ms=10_000).taken
    assert [each.id for each in left] == [each.id for each in first[1:]]


@pytest.mark.needs(Capability.EXTEND, Capability.PORTABLE_RECEIPTS)
def test_what_a_repeated_reserve_trusts_is_its_own(made: Callable[..., Queue]) -> None:
    q = made(visibility=1.5)
    q.publish_many(["kept", "lost"])
    q.reserve(2, op_id="task-1")
    threading.Event().wait(1)
    kept, lost = again = q.reserve(2, op_id="task-1")
    assert [each.body for each in again] == ["kept", "lost"]
    q.nack(lost.receipt, delay=0)
    threading.Event().wait(0.7)
    # The first lease would have ended by now.
    assert time.monotonic() < kept.trusted_until
    assert [each.body for each in q.reserve(2)] == ["lost"]
    kept.ack()


def test_an_op_id_publishes_once(q: Queue) -> None:
    first = q.publish({"n": 1}, op_id="task-1")
    assert q.publish({"n": 1}, op_id="task-1") == first
    assert q.publish_many(["a", "b"], op_id="task-2") == q.publish_many(["a", "b"], op_id="task-2")
    assert q.stats().ready == 3
    one(q).ack()
    q.publish({"n": 1}, op_id="task-1")
    assert q.stats().ready == 2


@pytest.mark.needs(Capability.PORTABLE_RECEIPTS)
def test_a_receipt_settles_through_another_object(q: Queue, using: str) -> None:
    q.publish("x")
    receipt = one(q).receipt
    queue(q.name, using=using).ack(receipt)
    assert q.stats().held == 0


@pytest.mark.parametrize(
    "receipt", ["", "x", "1", "1.", ".a.b", "1.a b", "1.\ud800", "1.a\nb.c", "9" * 5000, 7, None]
)
def test_what_is_no_receipt_is_refused(q: Queue, receipt: object) -> None:
    with pytest.raises(InvalidArgument):
        q.ack([receipt])  # type: ignore[list-item]


@pytest.mark.parametrize("verb", ["ack", "nack", "reject"])
@pytest.mark.parametrize(
    "receipt", ["1.0123456789abcdef.nobody", "1.a.b,c", '1.a."', "7.x", "1...", "0.a.b"]
)
def test_an_unknown_receipt_is_stale(q: Queue, verb: str, receipt: str) -> None:
    q.publish("x")
    with pytest.raises(StaleReceipt):
        getattr(q, verb)([receipt])
    assert one(q).attempts == 1
    balanced(q)


def test_declarations_are_values(q: Queue) -> None:
    assert dataclasses.replace(q.declared) == q.declared
