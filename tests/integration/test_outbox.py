"""What is published inside `atomic()` is published if and only if that commits."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db import connections, transaction
from pytest_django import Settings

from coordination import queue
from coordination.exceptions import InvalidArgument, NotSupportedByStore
from coordination.management.subcommands import sweep
from coordination.queues.api import Queue
from coordination.queues.outbox import relaying
from coordination.queues.outbox.tables import OutboxMessage
from tests.contract.queues.taking import balanced, drained, one
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration.own_redis import OwnRedis, own_redis

__all__ = ["own_redis"]

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
