"""Old history of queues is forgotten, and what is left can be folded again."""

from __future__ import annotations

import pytest

from coordination import queue
from coordination.connections import database
from coordination.observing.journal import Journal
from coordination.observing.rebuild import rebuild
from coordination.observing.tables import Event
from coordination.queues.pruning import QueuePruner
from coordination.queues.recording import QueueProjection
from coordination.queues.records import MessageRecord, WatchedMessage
from tests.contract.queues.taking import drained, one
from tests.databases import ALIASES
from tests.integration.own_redis import own_redis
from tests.integration.queue_observing import (
    _django_db_helper,
    any_store,
    audit,
    database_only,
    judged,
    observe,
    own,
    redis_only,
    run_sql,
    sqlite_only,
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


def grow_old(days: int = 8) -> None:
    for table, column in (("concord_event", "at"), ("concord_message_record", "changed_at")):
        run_sql(f"UPDATE {table} SET {column} = {column} - %s * interval '1 day'", days)


def prune() -> None:
    while QueuePruner("default").step():
        pass
    database.run("default", *QueueProjection().prune())


def events() -> int:
    return Event.objects.filter(object="queue").count()


def test_old_history_is_forgotten_and_young_history_stays(any_store: str) -> None:
    q = queue("a")
    q.publish_many(range(3))
    drained(q)
    judged()
    grow_old()
    young = q.publish("young")
    taken = one(q)
    observe()
    prune()

    assert [row.message for row in MessageRecord.objects.all()] == [young]
    assert events() == 2
    taken.ack()
    verdict = judged()
    assert (verdict.state, verdict.checked) == ("HOLDS", 4)

    rebuild(Journal("default"), [QueueProjection()])
    assert MessageRecord.objects.get().state == "acked"


def test_nothing_that_was_not_judged_is_forgotten(any_store: str) -> None:
    queue("a").publish("x")
    observe()
    grow_old()
    prune()
    assert events() == 3
    audit()
    prune()
    assert events() == 0


def test_what_others_keep_stays_and_is_passed_over_once(database_only: str) -> None:
    run_sql(
        "INSERT INTO concord_event (kind, object, name, version, at, node, actor, data)"
        " VALUES ('transaction.begun', 'transaction', 'g', 1, now(), '', '', '{}')"
    )
    queue("a").publish("x")
    judged()
    grow_old()
    queue("b").publish("x")
    judged()

    pruner = QueuePruner("default")
    assert pruner.step() == 4
    assert pruner.step() == 0
    assert Event.objects.filter(object="transaction").count() == 1
    assert events() == 3


def test_more_messages_than_are_kept_are_forgotten_from_the_oldest(
    database_only: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordination.queues.recording.MESSAGES_KEPT", 2)
    monkeypatch.setattr("coordination.queues.pruning.MARKS_KEPT", 1)
    q = queue("a")
    ids = []
    for number in range(5):
        ids.append(q.publish(number))
        observe()
    drained(q)
    judged()
    prune()

    assert set(MessageRecord.objects.values_list("message", flat=True)) == set(ids[-2:])
    assert WatchedMessage.objects.count() == 1


def test_what_the_auditor_knows_of_messages_is_forgotten_after_a_day(database_only: str) -> None:
    q = queue("a")
    q.publish_many(range(3))
    drained(q)
    judged()
    prune()
    assert WatchedMessage.objects.count() == 3
    run_sql("UPDATE concord_queue_watched SET at_us = at_us - 25 * 3600 * 1000000::bigint")
    prune()
    assert WatchedMessage.objects.count() == 0
