"""Who publishes in PostgreSQL beside a transaction that stays open: bounds and duplicates."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections, transaction
from pytest_django import Settings

from coordination import Message, queue
from coordination.exceptions import NotSupportedByStore, QueueFull, StoreUnavailable
from coordination.queues.api import Queue
from tests.contract.queues.taking import balanced, drained
from tests.databases import ALIASES, _django_db_helper
from tests.integration.database_queues import configured
from tests.integration.ledger import execute

__all__ = ["_django_db_helper"]

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

DEADLINE_S = 1.0


@pytest.fixture(autouse=True)
def _store(settings: Settings) -> None:
    configured(settings, using="default", deadline_s=DEADLINE_S)


def refused(q: Queue, message: Message) -> StoreUnavailable:
    """What somebody else is told who publishes it."""

    def work() -> StoreUnavailable:
        with pytest.raises(StoreUnavailable) as told:
            q.publish_many([message])
        connections.close_all()
        return told.value

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result(10)


@pytest.mark.parametrize(
    ("given", "options"),
    [({"max_length": 5}, {}), ({}, {"dedup_id": "d"})],
    ids=["bounded", "the same dedup id"],
)
def test_who_waits_too_long_for_a_transaction_is_refused_and_publishes_nothing_later(
    given: dict[str, Any], options: dict[str, Any]
) -> None:
    q = queue("a", **given)
    q.publish("warm")
    drained(q)
    with transaction.atomic():
        q.publish("first", **options)
        assert refused(q, Message("late", **options)).applied is False
    assert [each.body for each in drained(q)] == ["first"]
    q.publish("others go on")
    assert [each.body for each in drained(q)] == ["others go on"]
    balanced(q)


def test_who_moves_into_a_queue_that_a_transaction_fills_is_refused() -> None:
    q, to = queue("a"), queue("b", max_length=5)
    q.publish_many(range(3))
    with transaction.atomic():
        to.publish("first")

        def work() -> None:
            with pytest.raises(StoreUnavailable):
                q.move("b")
            connections.close_all()

        with ThreadPoolExecutor(1) as pool:
            pool.submit(work).result(10)
    assert (q.stats().ready, to.stats().ready) == (3, 1)
    assert q.move("b") == 3


def test_the_callers_own_patience_is_as_it_was_after_publishing() -> None:
    q = queue("a", max_length=5)
    with transaction.atomic():
        execute("default", "SET LOCAL lock_timeout = '77s'")
        q.publish("x")
        assert execute("default", "SHOW lock_timeout") == [("77s",)]


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_transaction_that_cannot_see_others_messages_keeps_no_bound(isolation: str) -> None:
    q, free = queue("a", max_length=3), queue("b")
    for each in (q, free):
        each.publish("warm")
        drained(each)

    def others() -> None:
        q.publish_many(range(3))
        connections.close_all()

    with transaction.atomic():
        execute("default", f"SET TRANSACTION ISOLATION LEVEL {isolation}")
        execute("default", "SELECT 1 FROM concord_queue LIMIT 1")
        with ThreadPoolExecutor(1) as pool:
            pool.submit(others).result(10)
        with pytest.raises(NotSupportedByStore, match="READ COMMITTED"):
            q.publish_many(range(3, 6))
        free.publish("has no bound")
        with pytest.raises(StoreUnavailable, match="begin it anew"):
            queue("c").publish("made after it began")
    assert q.stats().held == 3
    assert [each.body for each in drained(free)] == ["has no bound"]
    with pytest.raises(QueueFull):
        q.publish("more")
    balanced(q)


def test_one_of_a_group_is_found_by_an_index_that_holds_no_others() -> None:
    plans = {
        "concord_queue_group": "m.grp = 'g' AND m.grp > '' AND m.stage IN (0, 1, 4)",
        "concord_queue_source": "m.source = 'a' AND m.source > '' AND m.seq <= 9",
    }
    with transaction.atomic():
        execute("default", "SET LOCAL enable_seqscan = off")
        for index, where in plans.items():
            plan = execute(
                "default",
                "EXPLAIN SELECT m.seq FROM concord_queue_message m "
                f"WHERE m.queue_id + 0 = 1 AND {where}",
            )
            assert index in "\n".join(line for (line,) in plan)
