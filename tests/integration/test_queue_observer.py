"""What befell queues and their messages, as the records tell it, whatever store it happened in."""

from __future__ import annotations

from typing import Any

import pytest

from coordination import Message, queue
from coordination.exceptions import StaleReceipt
from coordination.observing.journal import Journal
from coordination.observing.rebuild import rebuild
from coordination.observing.records import Intervention
from coordination.queues.recording import QueueProjection
from coordination.queues.records import MessageRecord, QueueRecord
from tests.contract.queues.taking import drained, one, until
from tests.databases import ALIASES
from tests.integration.own_redis import own_redis
from tests.integration.queue_observing import (
    _django_db_helper,
    any_store,
    database_only,
    message,
    observe,
    own,
    record,
    redis_only,
    sqlite_only,
    told,
)
from tests.queue_stores import sqlite_queues

__all__ = [
    "_django_db_helper",
    "any_store",
    "database_only",
    "own",
    "own_redis",
    "redis_only",
    "sqlite_only",
    "sqlite_queues",
]

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)


def lives() -> list[dict[str, Any]]:
    rows = MessageRecord.objects.order_by("key", "message").values()
    return [{name: value for name, value in row.items() if name != "id"} for row in rows]


def queues() -> list[dict[str, Any]]:
    return list(QueueRecord.objects.order_by("key").values())


def test_the_life_of_a_message_is_told_whatever_store_it_is_in(any_store: str) -> None:
    q = queue("a", max_attempts=2)
    first, second = q.publish_many(["x", "y"])
    taken = one(q)
    taken.extend(60)
    taken.nack(delay=0, error="boom")
    observe()

    known = message(first, queue="a")
    assert (known.state, known.attempts, known.until) == ("waiting", 1, None)
    assert (known.key, known.node) == (f"{any_store} a", "test")
    assert known.taker == taken.receipt.split(".")[1]
    assert message(second, queue="a").state == "waiting"

    again, other = q.reserve(batch=2)
    other.ack()
    observe()
    assert (again.id, other.id) == (first, second)
    assert (message(again.id, queue="a").state, again.attempts) == ("in_flight", 2)
    assert message(again.id, queue="a").until is not None

    again.nack(error="again")
    observe()
    assert (message(first, queue="a").state, message(second, queue="a").state) == ("dead", "acked")
    assert told(first, queue="a") == ["published", "taken", "extended", "retried", "taken", "died"]
    assert told(second, queue="a") == ["published", "taken", "acked"]
    assert (message(first, queue="a").error, message(first, queue="a").went_to) == (
        "again",
        "a.dlq",
    )
    errors = [each["error"] for each in message(first, queue="a").life if "error" in each]
    assert errors == ["boom", "again"]
    letter = message(first, queue="a.dlq")
    assert (letter.state, letter.source, letter.attempts) == ("waiting", "a", 0)
    assert told(first, queue="a.dlq") == ["buried"]
    assert (record("a").retried, record("a").refused) == (1, 0)


def test_what_a_message_was_published_with_is_told(any_store: str) -> None:
    q = queue("a")
    plain, urgent, later, first = q.publish_many(
        [Message("p"), Message("u", priority=7), Message("d", delay=60), Message("g", group="gr")]
    )
    q.publish("again", dedup_id="d1")
    q.publish_many([Message("twin", dedup_id="d1"), Message("n", priority=3, dedup_id="d2")])
    observe()

    assert message(plain, queue="a").due_at is None
    assert (message(urgent, queue="a").priority, message(first, queue="a").group) == (7, "gr")
    due_at = message(later, queue="a").due_at
    assert due_at is not None
    assert 50 < (due_at - message(later, queue="a").changed_at).total_seconds() < 70
    assert MessageRecord.objects.filter(priority=3).count() == 1


def test_an_error_that_no_database_can_store_stops_nothing(any_store: str) -> None:
    q = queue("a", max_attempts=2)
    id_ = q.publish("x")
    for _ in range(2):
        one(q).nack(delay=0, error="nul \x00, half \ud800, 😀 and \n")
    observe()

    assert message(id_, queue="a").state == "dead"
    assert "😀" in message(id_, queue="a").error


def test_a_retry_with_a_delay_tells_when_it_is_due(any_store: str) -> None:
    q = queue("a")
    id_ = q.publish("x")
    one(q).nack(delay=60, error="later")
    observe()

    due_at = message(id_, queue="a").due_at
    assert due_at is not None
    assert 50 < (due_at - message(id_, queue="a").changed_at).total_seconds() < 70


def test_what_operators_did_is_told_once_with_who_and_why(any_store: str) -> None:
    q = queue("a")
    ids = q.publish_many(range(450))
    q.pause(actor="m.keller", reason="deploy")
    q.resume(actor="m.keller", reason="done")
    q.move("b", actor="m.keller", reason="other team")
    queue("b").purge(actor="m.keller", reason="not needed")
    observe()

    found = Intervention.objects.order_by("event_id").values_list("action", "name", "reason")
    assert list(found) == [
        ("pause", f"{any_store} a", "deploy"),
        ("pause", f"{any_store} a", "done"),
        ("move", f"{any_store} a", "other team"),
        ("purge", f"{any_store} b", "not needed"),
    ]
    moved = message(ids[0], queue="a")
    assert (moved.state, moved.went_to) == ("moved", "b")
    assert (moved.life[-1]["actor"], moved.life[-1]["reason"]) == ("m.keller", "other team")
    assert (message(ids[0], queue="b").state, message(ids[0], queue="b").source) == ("purged", "a")


def test_a_lease_that_lapsed_an_expiry_and_a_late_ack_are_told(any_store: str) -> None:
    q = queue("a", visibility=0.05)
    late = q.publish("late")
    taken = one(q)
    again = one(q)
    again.extend(60)
    with pytest.raises(StaleReceipt):
        taken.ack()
    again.ack()
    gone = q.publish("gone", expires=0.001)

    def expired() -> bool:
        q.reserve()
        return q.stats().held == 0

    until(expired)
    observe()

    assert told(late, queue="a")[:4] == ["published", "taken", "lapsed", "taken"]
    assert told(late, queue="a")[-2:] == ["refused", "acked"]
    assert message(late, queue="a").state == "acked"
    assert (message(gone, queue="a").state, record("a").refused) == ("expired", 1)


def test_records_rebuilt_from_events_are_the_same(any_store: str) -> None:
    q = queue("a", max_attempts=2)
    q.publish_many([Message(number, priority=number % 3) for number in range(30)])
    for number in range(20):
        taken = one(q)
        if number % 3:
            taken.ack()
        else:
            taken.nack(delay=0, error="boom")
        observe()
    before = lives(), queues()
    rebuild(Journal("default"), [QueueProjection()])

    assert (lives(), queues()) == before


def test_of_a_large_call_the_first_messages_are_told_of(any_store: str) -> None:
    q = queue("a")
    ids = q.publish_many(range(120))
    drained(q)
    observe()

    assert MessageRecord.objects.filter(state="acked").count() >= 20
    assert told(ids[0], queue="a") == ["published", "taken", "acked"]
    assert record("a").events >= 3
