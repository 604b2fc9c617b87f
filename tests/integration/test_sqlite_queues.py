"""Queues in the project's own SQLite: within its transactions, and beside others that write."""

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings as django_settings
from django.db import connections, transaction
from pytest_django import Settings

from coordination import Message, queue
from coordination.exceptions import NotSupportedByStore, QueueFull, StoreUnavailable
from coordination.queues.api import Queue
from coordination.queues.stores.sqlite_sweeping import DIED_IN
from coordination.queues.stores.sqlite_turn import OF_GROUP, SELECT
from coordination.queues.stores.sqlite_verbs import OF_RECEIPT, READY
from tests.contract.queues.taking import balanced, drained, one, until
from tests.databases import ALIASES, _django_db_helper
from tests.queue_stores import SQLITE, sqlite_queues

__all__ = ["_django_db_helper", "sqlite_queues"]

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)


@pytest.fixture
def q(sqlite_queues: str) -> Queue:
    return queue("a", using=sqlite_queues)


def test_a_message_is_there_if_and_only_if_its_transaction_commits(q: Queue) -> None:
    with transaction.atomic(using=SQLITE):
        id_ = q.publish("kept", group="g", dedup_id="d")
    with pytest.raises(ZeroDivisionError), transaction.atomic(using=SQLITE):
        q.publish_many(["never", Message("never", group="g"), Message("never", dedup_id="e")])
        _ = 1 / 0
    message = one(q)
    assert (message.id, message.body) == (id_, "kept")
    message.ack()
    q.publish("again", dedup_id="e")
    assert [each.body for each in drained(q)] == ["again"]
    balanced(q)


def test_a_queue_that_a_rollback_took_back_is_declared_anew(q: Queue) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic(using=SQLITE):
        q.publish("never")
        _ = 1 / 0
    q.publish("x")
    assert [each.body for each in drained(q)] == ["x"]
    balanced(q)


def test_taking_inside_a_transaction_is_refused_before_anything_is_done(q: Queue) -> None:
    q.publish("x")
    with transaction.atomic(using=SQLITE), pytest.raises(NotSupportedByStore, match="atomic"):
        q.reserve()
    assert one(q).attempts == 1


def test_an_ack_inside_a_transaction_is_part_of_it(q: Queue) -> None:
    q.publish("x")
    message = one(q)
    with pytest.raises(ZeroDivisionError), transaction.atomic(using=SQLITE):
        message.ack()
        _ = 1 / 0
    assert q.stats().in_flight == 1
    with transaction.atomic(using=SQLITE):
        message.ack()
    assert q.stats().held == 0
    balanced(q)


def test_a_refused_publication_leaves_the_transaction_usable(q: Queue) -> None:
    bounded = queue("b", using=SQLITE, max_length=1)
    with transaction.atomic(using=SQLITE):
        bounded.publish("first")
        with pytest.raises(QueueFull):
            bounded.publish("second")
        q.publish("other")
    assert [each.body for each in drained(bounded)] == ["first"]
    assert [each.body for each in drained(q)] == ["other"]


def test_who_waits_is_woken_by_a_commit(q: Queue) -> None:
    q.publish("warm")
    one(q).ack()
    with ThreadPoolExecutor(1) as pool:

        def wait() -> float:
            message = one(q)
            message.ack()
            connections[SQLITE].close()
            return time.monotonic()

        waiting = pool.submit(wait)
        until(waiting.running)
        with transaction.atomic(using=SQLITE):
            q.publish("x")
        committed_at = time.monotonic()
        assert waiting.result(10) - committed_at < 0.5


def test_another_writer_is_waited_for_no_longer_than_the_deadline(
    q: Queue, settings: Settings
) -> None:
    q.publish("x")
    message = one(q)
    store = settings.COORDINATION["STORES"][SQLITE] | {"OPTIONS": {"DEADLINE": 0.3}}
    stores = django_settings.COORDINATION["STORES"] | {SQLITE: store}
    settings.COORDINATION = django_settings.COORDINATION | {"STORES": stores}
    hasty = queue("a", using=SQLITE)
    other = sqlite3.connect(connections[SQLITE].settings_dict["NAME"], isolation_level=None)
    try:
        other.execute("BEGIN EXCLUSIVE")
        for call in (lambda: hasty.publish("y"), hasty.reserve, lambda: hasty.ack(message)):
            begun = time.monotonic()
            with pytest.raises(StoreUnavailable):
                call()
            assert time.monotonic() - begun < 0.3 + 0.5
        other.execute("ROLLBACK")
    finally:
        other.close()
    hasty.ack(message)
    assert q.stats().held == 0
    balanced(q)


def test_every_change_leaves_an_event(q: Queue) -> None:
    q.publish("x")
    one(q).ack()
    with connections[SQLITE].cursor() as cursor:
        cursor.execute("SELECT kind FROM concord_queue_event WHERE name = 'a' ORDER BY id")
        kinds = [kind for (kind,) in cursor.fetchall()]
    assert kinds == [
        *("queue.declared", "message.published", "message.taken", "message.acked"),
    ]


@pytest.mark.parametrize(
    ("where", "values", "found_by"),
    [
        (f"{OF_GROUP}(0, 1, 4) LIMIT 1", (1, "g"), "concord_queue_group (<expr>=? AND grp=? AND"),
        (f"{OF_GROUP}(3) ORDER BY seq LIMIT 1", (1, "g"), "concord_queue_group (<expr>=? AND grp="),
        (DIED_IN, (1, "a", 9, 9), "concord_queue_source (<expr>=? AND source=? AND seq<?)"),
        (READY, (1, 0, 9, 9), "(queue_id=? AND stage=?)"),
        (OF_RECEIPT, (1, 9, "op", 1), "concord_queue_taken (<expr>=?)"),
    ],
    ids=["one of a group", "next of a group", "letters of a queue", "ready", "of a receipt"],
)
def test_messages_are_found_by_an_index_that_holds_no_others(
    q: Queue, where: str, values: tuple[object, ...], found_by: str
) -> None:
    q.publish_many([Message(n, group=f"g{n}") for n in range(100)])
    connections[SQLITE].ensure_connection()
    plan = connections[SQLITE].connection.execute(f"EXPLAIN QUERY PLAN {SELECT}{where}", values)
    assert found_by in "\n".join(detail for *_, detail in plan)
