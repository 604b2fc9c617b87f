"""What is published inside `atomic()` is published if and only if that commits."""

import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db import connections, transaction
from pytest_django import Settings

from coordination import Message, queue
from coordination.exceptions import InvalidArgument, NotSupportedByStore
from coordination.management.subcommands import sweep
from coordination.queues.api import Queue
from coordination.queues.outbox import relaying
from coordination.queues.outbox.tables import OutboxMessage
from tests.contract.queues.taking import balanced, drained, one
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration.forked_child import fork, succeeded
from tests.integration.own_redis import OwnRedis, own_redis
from tests.queue_stores import sqlite_queues

__all__ = ["own_redis", "sqlite_queues"]

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)


@pytest.fixture
def own(own_redis: OwnRedis, settings: Settings) -> OwnRedis:
    stores = django_settings.COORDINATION["STORES"]
    store = {"BACKEND": "redis", "LOCATION": own_redis.url, "OPTIONS": {"DEADLINE": 0.3}}
    settings.COORDINATION = django_settings.COORDINATION | {"STORES": stores | {"redis": store}}
    return own_redis


@pytest.fixture
def q() -> Queue:
    return queue(f"test:{secrets.token_hex(4)}", using="redis")


def rows(using: str = "default") -> list[tuple[str, int, str]]:
    found = OutboxMessage.objects.using(using).order_by("id")
    return list(found.values_list("message", "attempts", "error"))


def make_due(using: str = "default") -> None:
    OutboxMessage.objects.using(using).update(due_at="2020-01-01T00:00:00Z")


@pytest.mark.parametrize("using", ["default", "bank_a"])
def test_a_message_goes_with_the_commit(own: OwnRedis, q: Queue, using: str) -> None:
    with transaction.atomic(using=using):
        id_ = q.publish({"n": 1}, headers={"h": 1}, priority=3)
        q.publish_many(["a", "b"])
        assert q.stats().held == 0
        assert len(rows(using)) == 3
    message = one(q)
    assert (message.id, message.body, message.priority) == (id_, {"n": 1}, 3)
    message.ack()
    assert [each.body for each in drained(q)] == ["a", "b"]
    assert rows(using) == []
    balanced(q)


def test_a_rollback_takes_it_back(own: OwnRedis, q: Queue) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        q.publish("never")
        raise RuntimeError
    assert q.stats().held == 0
    assert rows() == []


def test_a_commit_while_the_store_is_away_loses_nothing(own: OwnRedis, q: Queue) -> None:
    q.publish("before")
    own.kill()
    with transaction.atomic():
        ids = q.publish_many(["first", "second"], op_id="order-1")
    waiting = rows()
    assert [message for message, _, _ in waiting] == ids
    assert waiting[0][1] == 1
    assert waiting[0][2].startswith("store_unavailable: ")
    assert relaying.relay("default") <= 0
    own.start()
    make_due()
    sweep.handle({"once": True})
    assert [each.body for each in drained(q)] == ["first", "second"]
    assert rows() == []


def test_publishing_needs_no_store_that_answers(own: OwnRedis) -> None:
    own.kill()
    with transaction.atomic():
        queue("never:seen:before", using="redis", max_attempts=9).publish("x")
    own.start()
    make_due()
    assert relaying.relay("default") == 1
    assert queue("never:seen:before", using="redis").declared.max_attempts == 9


def test_whoever_dies_between_publishing_and_deleting_publishes_once(
    own: OwnRedis, q: Queue
) -> None:
    with transaction.atomic():
        q.publish("x")
        row = OutboxMessage.objects.get()
    one(q).ack()
    row.id = None  # type: ignore[assignment]
    row.save(force_insert=True)
    assert relaying.relay("default") == 1
    assert q.stats().held == 0
    balanced(q)


def test_what_a_queue_refuses_stays_and_says_why_and_others_go_on(own: OwnRedis, q: Queue) -> None:
    full = queue(f"{q.name}:full", using="redis", max_length=1)
    full.publish("x")
    with transaction.atomic():
        full.publish("y", group="g")
        full.publish("z", group="g")
        q.publish("goes on")
    assert one(q).body == "goes on"
    (first, second) = rows()
    assert first[2].startswith("queue_full: ")
    assert second[1] == 0
    assert len(drained(full)) == 1
    make_due()
    assert relaying.relay("default") == 1
    make_due()
    assert [each.body for each in drained(full)] == ["y"]
    assert relaying.relay("default") == 1
    assert [each.body for each in drained(full)] == ["z"]


def test_an_op_id_publishes_once_over_transactions(own: OwnRedis, q: Queue) -> None:
    for _ in range(2):
        with transaction.atomic():
            q.publish("x", op_id="task-1")
    q.publish("x", op_id="task-1")
    assert len(drained(q)) == 1


def test_one_op_id_is_one_message_of_each_queue(own: OwnRedis, q: Queue) -> None:
    other = queue(f"{q.name}:other", using="redis")
    with transaction.atomic():
        ids = {each.publish(each.name, op_id="order-7") for each in (q, other)}
    assert len(ids) == 2
    for each in (q, other):
        assert [message.body for message in drained(each)] == [each.name]


def test_an_op_id_with_other_messages_is_refused_in_a_transaction_too(
    own: OwnRedis, q: Queue
) -> None:
    own.kill()
    with transaction.atomic():
        ids = q.publish_many(["a", "b"], op_id="order-7")
        for other in (["a"], ["a", "c"]):
            with pytest.raises(InvalidArgument, match="used before"):
                q.publish_many(other, op_id="order-7")
    with transaction.atomic():
        assert q.publish_many(["a", "b"], op_id="order-7") == ids
        with pytest.raises(InvalidArgument, match="used before"):
            q.publish("c", op_id="order-7")
    own.start()
    make_due()
    assert relaying.relay("default") == 2
    with transaction.atomic():
        q.publish("c", op_id="order-7")  # its row is gone, so only the store knows
    ((_, _, error),) = rows()
    assert error.startswith("invalid_argument: ")
    assert [each.body for each in drained(q)] == ["a", "b"]
    balanced(q)


@pytest.mark.parametrize("first", ["directly", "with a commit"])
def test_a_batch_is_published_once_with_a_commit_and_without(
    own: OwnRedis, q: Queue, first: str
) -> None:
    def with_a_commit() -> list[str]:
        with transaction.atomic():
            return q.publish_many(["a", "b"], op_id="order-7")

    def directly() -> list[str]:
        return q.publish_many(["a", "b"], op_id="order-7")

    calls = [directly, with_a_commit] if first == "directly" else [with_a_commit, directly]
    ids = [call() for call in calls]
    assert ids[0] == ids[1]
    assert rows() == []
    assert [each.body for each in drained(q)] == ["a", "b"]
    balanced(q)


def test_a_batch_goes_whole_or_not_at_all(own: OwnRedis, q: Queue) -> None:
    bound = queue(f"{q.name}:bound", using="redis", max_length=3)
    bound.publish("in the way")
    with transaction.atomic():
        bound.publish_many(range(3), op_id="order-7")
    assert bound.stats().held == 1
    assert [error.partition(":")[0] for _, _, error in rows()] == ["queue_full"] * 3
    one(bound).ack()
    make_due()
    assert relaying.relay("default") == 3
    assert [each.body for each in drained(bound)] == [0, 1, 2]
    balanced(bound)


def committed_and_killed(*publications: Callable[[], object]) -> None:
    """Each with a commit of its own, after which its process dies."""

    def child() -> bool:
        for publish in publications:
            with transaction.atomic():
                publish()
                # What would relay it dies with the process.
                connections["default"].run_on_commit.clear()
        return True

    connections.close_all()
    assert succeeded(fork(child))


def test_a_group_keeps_its_order_when_a_publisher_dies_before_he_relays(
    own: OwnRedis, q: Queue
) -> None:
    committed_and_killed(lambda: q.publish("first", group="g"))
    with transaction.atomic():
        q.publish("other", group="h")
        q.publish("second", group="g")
    assert [each.body for each in drained(q) if each.group == "g"] == ["first", "second"]
    assert rows() == []


def test_a_group_waits_for_what_somebody_else_relays_who_then_goes_on_with_it(
    own: OwnRedis, q: Queue
) -> None:
    committed_and_killed(lambda: q.publish_many([Message("first", group="g"), Message("x")]))
    in_hand, go_on = threading.Event(), threading.Event()

    def relays_slowly() -> int:
        with transaction.atomic():
            held = OutboxMessage.objects.select_for_update().filter(first=None)
            assert len(held) == 1
            in_hand.set()
            assert go_on.wait(10)
        try:
            return relaying.relay("default", held[0].op)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(relays_slowly)
        assert in_hand.wait(10)
        with transaction.atomic():
            q.publish("second", group="g")
        assert relaying.relay("default") == 0
        assert q.stats().held == 0
        go_on.set()
        assert slow.result(10) == 3
    assert [each.body for each in drained(q)] == ["first", "x", "second"]


def test_batches_of_several_groups_do_not_wait_for_each_other(own: OwnRedis, q: Queue) -> None:
    own.kill()
    for number in range(2):
        with transaction.atomic():
            q.publish_many([Message(number, group="g"), Message(number, group="h")])
    first, second = OutboxMessage.objects.filter(number=1).order_by("id")
    # As two transactions at once may get their ids.
    OutboxMessage.objects.filter(id=first.id).update(id=-1 - first.id)
    OutboxMessage.objects.filter(id=second.id).update(id=first.id)
    OutboxMessage.objects.filter(id=-1 - first.id).update(id=second.id)
    own.start()
    make_due()
    assert relaying.relay("default") == 4
    assert [each.body for each in drained(q)] == [0, 0, 1, 1]


def test_a_store_that_is_away_holds_up_no_other(
    own: OwnRedis, q: Queue, settings: Settings
) -> None:
    stores = django_settings.COORDINATION["STORES"]
    away = {"BACKEND": "redis", "LOCATION": "redis://127.0.0.1:1/0", "OPTIONS": {"DEADLINE": 0.2}}
    settings.COORDINATION = django_settings.COORDINATION | {"STORES": stores | {"away": away}}
    lost = queue(f"{q.name}:lost", using="away")
    committed_and_killed(*(lambda: lost.publish("x") for _ in range(relaying.BATCH + 50)))
    committed_and_killed(lambda: q.publish("mine"))
    for _ in range(2):
        relaying.relay_all()
    assert [each.body for each in drained(q)] == ["mine"]
    assert not OutboxMessage.objects.exclude(error__startswith="store_unavailable: ").exists()
    assert OutboxMessage.objects.filter(attempts__gt=0).count() == 1


def test_a_queue_that_is_paused_holds_up_no_other(own: OwnRedis, q: Queue) -> None:
    paused = queue(f"{q.name}:paused", using="redis")
    paused.pause()
    committed_and_killed(*(lambda: paused.publish("x") for _ in range(relaying.BATCH + 50)))
    committed_and_killed(lambda: q.publish("mine"))
    for _ in range(2):
        relaying.relay_all()
    assert [each.body for each in drained(q)] == ["mine"]
    paused.resume()
    make_due()
    assert relaying.relay("default") == relaying.BATCH


def test_an_outbox_in_sqlite_keeps_order_and_puts_off_as_well(
    own: OwnRedis, q: Queue, sqlite_queues: str
) -> None:
    own.kill()
    for number in range(3):
        with transaction.atomic(using=sqlite_queues):
            q.publish_many([Message(number, group="g"), Message(number)], op_id=str(number))
    assert {error.partition(":")[0] for *_, error in rows(sqlite_queues)} == {
        "store_unavailable",
        "",
    }
    make_due(sqlite_queues)
    assert relaying.relay(sqlite_queues) == 0
    assert "" not in {error for *_, error in rows(sqlite_queues)}
    own.start()
    make_due(sqlite_queues)
    assert relaying.relay(sqlite_queues) == 6
    assert [each.body for each in drained(q) if each.group] == [0, 1, 2]
    assert rows(sqlite_queues) == []


def test_a_queue_that_is_paused_is_asked_by_one_of_its_publications(
    own: OwnRedis, q: Queue
) -> None:
    q.pause()
    committed_and_killed(*(lambda: q.publish("x") for _ in range(3)))
    assert relaying.relay("default") == 0
    assert sorted(attempts for _, attempts, _ in rows()) == [0, 0, 1]
    assert {error.partition(":")[0] for *_, error in rows()} == {"queue_paused"}
    assert relaying.relay("default") == 0


def test_of_several_open_transactions_one_is_named(own: OwnRedis, q: Queue) -> None:
    with transaction.atomic(), transaction.atomic(using="bank_a"):
        with pytest.raises(InvalidArgument, match="within="):
            q.publish("x")
        q.publish("x", within="bank_a")
        assert len(rows("bank_a")) == 1
    assert len(drained(q)) == 1


@pytest.fixture
def without_a_table(tmp_path: Path) -> Iterator[str]:
    connections.settings["bare"] = connections.settings["default"] | {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": tmp_path / "bare.sqlite3",
        "OPTIONS": {},
    }
    try:
        yield "bare"
    finally:
        connections["bare"].close()
        del connections["bare"], connections.settings["bare"]


def test_a_database_without_the_table_is_a_clear_error(
    own: OwnRedis, q: Queue, without_a_table: str
) -> None:
    with transaction.atomic(using=without_a_table):
        with pytest.raises(NotSupportedByStore, match=r"migrate coordination --database=bare"):
            q.publish("x")
        with connections[without_a_table].cursor() as cursor:
            cursor.execute("SELECT 1")
    assert q.stats().held == 0
    relaying.relay_all()
