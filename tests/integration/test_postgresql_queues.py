"""Queues in PostgreSQL: within transactions, when replies are lost, with many at once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections, transaction
from pytest_django import Settings

from config.servers import Servers
from coordination import Message, queue
from coordination.exceptions import (
    OutcomeUnknown,
    QueueFull,
    StaleReceipt,
    StoreUnavailable,
)
from coordination.queues.api import Queue
from coordination.queues.types import State
from tests.contract.queues.taking import balanced, drained, one, until
from tests.databases import ALIASES, _django_db_helper
from tests.integration.database_queues import configured, events, proxy, store, warm
from tests.integration.ledger import execute
from tests.integration.postgresql_locks import DEADLINE_S, frozen, within_the_deadline
from tests.integration.postgresql_proxy import PostgresProxy

__all__ = ["_django_db_helper", "proxy", "store"]

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=ALIASES),
    pytest.mark.usefixtures("store"),
]


# Within the caller's transaction


def test_a_message_is_there_if_and_only_if_its_transaction_commits() -> None:
    q = queue("a")
    with transaction.atomic():
        id_ = q.publish({"n": 1}, headers={"h": 1})
        q.publish_many([2, Message(3, group="g"), Message(4, dedup_id="d")])
        with ThreadPoolExecutor(1) as other:
            assert other.submit(q.reserve).result(10) == []
    found = drained(q)
    assert (found[0].id, found[0].headers) == (id_, {"h": 1})
    assert sorted(str(each.body) for each in found) == ["2", "3", "4", "{'n': 1}"]

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        q.publish_many(["never", Message("never", group="g"), Message("never", dedup_id="e")])
        _ = 1 / 0
    assert q.publish("again", dedup_id="e") is not None
    assert [each.body for each in drained(q)] == ["again"]
    balanced(q)


def test_a_savepoint_that_is_rolled_back_takes_its_messages_only() -> None:
    q = queue("a")
    with transaction.atomic():
        q.publish("kept")
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            q.publish("undone")
            _ = 1 / 0
    assert [each.body for each in drained(q)] == ["kept"]
    balanced(q)


def test_a_rollback_does_not_take_back_an_attempt_or_an_ack() -> None:
    q = queue("a")
    q.publish_many(["x", "y"])
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        first, second = q.reserve(batch=2)
        first.ack()
        second.nack(delay=0)
        _ = 1 / 0
    (again,) = drained(q)
    assert (again.body, again.attempts) == ("y", 2)
    balanced(q)


def test_a_publisher_whose_transaction_is_open_keeps_nobody_waiting() -> None:
    q = queue("a")
    q.publish("before")
    with transaction.atomic():
        q.publish_many(["open", Message("open", group="g")])
        with ThreadPoolExecutor(1) as pool:

            def work() -> list[Any]:
                other = queue("a")
                other.publish_many(["other", Message("grouped", group="g")])
                bodies = [each.body for each in drained(other)]
                connections.close_all()
                return bodies

            assert sorted(pool.submit(work).result(5)) == ["before", "grouped", "other"]
    assert sorted(each.body for each in drained(q)) == ["open", "open"]
    balanced(q)


def test_a_refused_publication_leaves_the_transaction_usable() -> None:
    q = queue("a", max_length=1)
    with transaction.atomic():
        q.publish("first")
        with pytest.raises(QueueFull):
            q.publish("second")
        execute("default", "SELECT 1")
    assert [each.body for each in drained(q)] == ["first"]
    balanced(q)


def test_who_waits_is_woken_by_a_commit() -> None:
    q = warm("a")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(q.reserve, wait=10)
        until(waiting.running)
        with transaction.atomic():
            q.publish("x")
        (message,) = waiting.result(5)
    assert message.body == "x"


def test_a_message_goes_with_a_prepared_transaction() -> None:
    q = warm("a")
    connection = connections["default"]
    held = connection._commit  # type: ignore[attr-defined]

    def prepare() -> None:
        with connection.cursor() as cursor:
            cursor.execute("PREPARE TRANSACTION 'test-queues'")

    connection._commit = prepare  # type: ignore[attr-defined]
    try:
        with transaction.atomic():
            q.publish_many(["x", Message("y", group="g")])
            assert connection.run_on_commit == []
    finally:
        connection.__dict__.pop("_commit")
    assert connection._commit == held  # type: ignore[attr-defined]
    assert q.reserve() == []
    execute("default", "COMMIT PREPARED 'test-queues'")
    assert sorted(each.body for each in drained(q)) == ["x", "y"]
    balanced(q)


# Lost replies, frozen and restarted servers


def test_a_publication_whose_reply_was_lost_is_made_once(proxy: PostgresProxy) -> None:
    q = queue("a")
    proxy.lose_the_next_reply()
    ids = q.publish_many(range(3))
    assert proxy.lost.is_set()
    proxy.lose_the_next_reply()
    q.publish(3, group="g", dedup_id="d")
    found = drained(q)
    assert [each.id for each in found][:3] == ids
    assert [each.body for each in found] == [0, 1, 2, 3]
    balanced(q)


def test_messages_whose_reply_was_lost_are_taken_by_the_same_call(proxy: PostgresProxy) -> None:
    q = queue("a")
    q.publish_many(range(3))
    proxy.lose_the_next_reply()
    taken = q.reserve(batch=2)
    assert proxy.lost.is_set()
    assert [(each.body, each.attempts) for each in taken] == [(0, 1), (1, 1)]
    q.ack(taken)
    assert [each.body for each in drained(q)] == [2]
    balanced(q)


@pytest.mark.parametrize("verb", ["ack", "nack", "reject", "extend"])
def test_a_settlement_whose_reply_was_lost_is_made_once_and_not_stale(
    proxy: PostgresProxy, verb: str
) -> None:
    q = queue("a")
    q.publish("x")
    message = one(q)
    proxy.lose_the_next_reply()
    getattr(message, verb)()
    assert proxy.lost.is_set()
    if verb != "extend":
        with pytest.raises(StaleReceipt):
            message.ack()
    balanced(q)


def test_a_purge_and_a_redrive_whose_replies_were_lost_are_made_once(proxy: PostgresProxy) -> None:
    q = queue("a")
    q.publish_many(range(5))
    for message in q.reserve(batch=3):
        message.reject()
    proxy.lose_the_next_reply()
    assert q.redrive() == 3
    proxy.lose_the_next_reply()
    assert q.purge() == 5
    balanced(q)
    balanced(queue("a.dlq"))


@pytest.mark.parametrize("verb", ["publish", "reserve", "ack", "nack", "extend", "stats", "joined"])
def test_a_frozen_server_is_an_error_within_the_deadline(
    settings: Settings, servers: Servers, verb: str
) -> None:
    configured(settings, using="default", deadline_s=DEADLINE_S)
    q = warm("a")
    q.publish("x")
    message = one(q)

    calls: dict[str, Callable[[], object]] = {
        "publish": lambda: q.publish("y"),
        "reserve": q.reserve,
        "ack": message.ack,
        "nack": message.nack,
        "extend": message.extend,
        "stats": q.stats,
        "joined": lambda: q.publish("z"),
    }
    if verb == "joined":
        with pytest.raises(Exception), transaction.atomic():  # noqa: B017, PT011
            execute("default", "SELECT 1")
            with frozen(servers), within_the_deadline(), pytest.raises(StoreUnavailable):
                calls[verb]()
            raise RuntimeError("the connection is gone")
    else:
        with (
            frozen(servers),
            within_the_deadline(),
            pytest.raises((OutcomeUnknown, StoreUnavailable)),
        ):
            calls[verb]()
    until(lambda: _answers(q))
    balanced(q)


def _answers(q: Queue) -> bool:
    try:
        return q.stats().held >= 0
    except (OutcomeUnknown, StoreUnavailable):
        return False


# Many at once


def test_consumers_and_producers_at_once_neither_lose_nor_double_nor_deadlock() -> None:
    q = queue("a", max_attempts=1_000)
    before = _deadlocks()
    total, done, mutex = 400, list[str](), threading.Lock()
    published: list[str] = []

    def produce(number: int) -> None:
        for n in range(20):
            batch = [Message(n, group=f"g{(number + m) % 3}" if m % 2 else None) for m in range(5)]
            ids = q.publish_many(batch)
            with mutex:
                published.extend(ids)

    def consume() -> None:
        while len(done) < total:
            taken = q.reserve(batch=7, wait=0.2)
            if len(taken) > 3:
                taken[0].nack(delay=0)
                taken = taken[1:]
            if taken:
                q.extend(taken[::-1])
                q.ack(taken[::-1])
            with mutex:
                done.extend(each.id for each in taken)

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(produce, number) for number in range(4)]
        running += [pool.submit(consume) for _ in range(4)]
        for each in running:
            each.result(60)
    assert sorted(done) == sorted(published)
    assert _deadlocks() == before
    balanced(q)


def _deadlocks() -> int:
    ((number,),) = execute(
        "default", "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )
    return int(number)


def test_many_ready_messages_are_taken_by_an_index_that_no_statistics_choose() -> None:
    q = warm("a")
    execute(
        "default",
        """
        INSERT INTO concord_queue_message (queue_id, stage, sort, seq, message, body, headers,
            priority, grp, published_us, due_us, expires_us, attempts, taken_by, suspect, source,
            error)
        SELECT q.id, 0, 9, nextval('concord_queue_seq'), 'm' || n, '1', '{}', 0, '', 1, 0, 0, 0,
            '', false, '', ''
        FROM concord_queue q, generate_series(1, 100000) n WHERE q.name = 'a'""",
    )
    taken = q.reserve(batch=50)
    assert [each.id for each in taken] == [f"m{n}" for n in range(1, 51)]
    q.extend(taken)
    q.ack(taken)
    plan = "\n".join(
        line
        for (line,) in execute(
            "default",
            """EXPLAIN SELECT m.ctid FROM concord_queue_message m WHERE m.queue_id = 1
            AND m.stage = 0 ORDER BY m.sort, m.seq LIMIT 50 FOR UPDATE SKIP LOCKED""",
        )
    )
    assert "concord_queue_message_pkey" in plan
    assert "Sort" not in plan


# What is told


def test_every_change_leaves_an_event_in_the_order_of_causes() -> None:
    q = queue("a", max_attempts=2)
    ids = q.publish_many(range(4))
    taken = q.reserve(batch=4)
    taken[0].ack()
    taken[1].nack(delay=0)
    taken[2].reject()
    taken[3].extend(5)
    with pytest.raises(StaleReceipt):
        taken[0].ack()
    q.redrive(actor="ann", reason="again")
    q.pause()
    q.resume()
    q.purge(actor="ann")
    mine = events("a")
    assert [what for what, _ in mine[:3]] == [
        *("queue.declared", "message.published", "message.taken"),
    ]
    assert mine[2][1]["ids"] == ids
    assert mine[2][1]["attempts"] == [1, 1, 1, 1]
    told = {what: data.get("ids") for what, data in mine}
    assert told["message.acked"] == [ids[0]]
    assert told["message.retried"] == [ids[1]]
    assert told["message.died"] == [ids[2]]
    assert told["message.refused"] == [ids[0]]
    assert told["message.redriven"] == [ids[2]]
    assert sorted(told["message.purged"]) == sorted([ids[1], ids[2]])
    assert told["message.extended"] == [ids[3]]
    balanced(q)


def test_many_messages_leave_nothing_behind_but_what_is_kept_for_a_while() -> None:
    q = queue("a")
    for n in range(20):
        q.publish(n, group=f"g{n % 3}", delay=0.001 * (n % 2), priority=n % 3)
    done = 0
    while done < 20:
        taken = q.reserve(batch=5, wait=2)
        q.ack(taken)
        done += len(taken)
    execute("default", "UPDATE concord_queue_answer SET until_us = 0")
    execute("default", "SELECT concord_queue_tidy()")
    for table, rows in (("message", 0), ("answer", 0), ("waiter", 0), ("dedup", 0), ("tally", 1)):
        found = execute("default", f"SELECT count(*) FROM concord_queue_{table}")
        assert found == [(rows,)], table
    balanced(q)


def test_a_queue_that_was_deleted_past_concord_is_declared_anew() -> None:
    q = queue("a", max_attempts=7)
    q.publish("x")
    for table in ("message", "tally", "answer"):
        execute("default", f"DELETE FROM concord_queue_{table}")
    execute("default", "DELETE FROM concord_queue")
    assert q.reserve() == []
    q.publish("y")
    assert queue("a").declared.max_attempts == 7
    assert [each.body for each in drained(q)] == ["y"]
    assert q.peek(state=State.READY) == []
    balanced(q)


def test_names_and_errors_that_hold_what_sql_and_json_care_for_are_like_others() -> None:
    for name in ('a"b', "a'b", "a:b", "ü%s", "a\u00e9"):
        q = queue(name, max_attempts=1)
        with transaction.atomic():
            q.publish(name, group=name, dedup_id=name, headers={"h": name})
        one(q).reject(error='"quoted"\nand on two lines, \x00')
        letter = one(queue(f"{name}.dlq"))
        assert (letter.source, letter.error) == (name, '"quoted"\nand on two lines, \x00')
        assert letter.headers == {"h": name}
        assert q.redrive(reason=f"{name}\x00") == 0
        letter.ack()
        balanced(q)
