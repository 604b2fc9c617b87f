"""How queues stand, asked of their stores: depth, age, totals, and rates by the time."""

from __future__ import annotations

import threading

import pytest
from django.db import connections
from pytest_django import Settings

from coordination import Message, queue
from coordination.queues.records import QueueBucket, QueueRecord
from coordination.queues.sampling import Sampler
from tests.contract.queues.taking import drained, one
from tests.databases import ALIASES
from tests.integration.own_redis import OwnRedis, own_redis
from tests.integration.queue_observing import (
    _django_db_helper,
    a_sampler,
    any_store,
    database_only,
    observe,
    only,
    own,
    record,
    redis_only,
    run_sql,
    sqlite_only,
)
from tests.queue_stores import rabbitmq_queues, sqlite_queues

__all__ = [
    "_django_db_helper",
    "any_store",
    "database_only",
    "own",
    "own_redis",
    "rabbitmq_queues",
    "redis_only",
    "sqlite_only",
    "sqlite_queues",
]

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)


def buckets(key: str) -> dict[str, int | None]:
    """Sums of what the buckets of a queue tell."""
    rows = QueueBucket.objects.filter(key=key)
    words = ("published", "delivered", "acked", "died", "expired", "lapsed")
    return {word: sum(getattr(row, word) or 0 for row in rows) for word in words}


def test_a_sample_tells_how_a_queue_stands(any_store: str) -> None:
    q = queue("a", max_attempts=3, max_length=100)
    q.publish_many([Message(number, group="g") for number in range(3)])
    q.publish_many(["x", Message("later", delay=60)])
    one(q).reject(error="bad")
    one(q).ack()
    q.reserve(batch=1)
    q.pause(consuming=False)
    a_sampler().step()

    row = record("a")
    stats = q.stats()
    assert (row.key, row.store, row.ready, row.delayed) == (f"{any_store} a", any_store, 1, 1)
    assert (row.in_flight, row.dead, row.grouped) == (1, 1, stats.grouped)
    assert (row.published, row.acked, row.died, row.delivered) == (5, 1, 1, 3)
    assert (row.max_length, row.dead_letter) == (100, "a.dlq")
    assert row.options["max_attempts"] == 3
    assert (row.publishing_paused, row.consuming_paused) == (True, False)
    assert row.oldest_at is not None
    assert row.sampled_at is not None
    assert row.seen_at is not None
    letters = record("a.dlq")
    assert (letters.ready, letters.moved_in, letters.dead_letter) == (1, 1, "")


def test_what_events_tell_and_what_was_sampled_stand_side_by_side(any_store: str) -> None:
    queue("a").publish("x")
    a_sampler().step()
    observe()
    a_sampler().step()

    row = record("a")
    assert (row.ready, row.events) == (1, 2)
    assert row.event_at is not None


def test_rates_are_what_the_totals_rose_by(any_store: str) -> None:
    q = queue("a")
    q.publish_many(range(5))
    a_sampler().step()
    assert buckets(f"{any_store} a")["published"] == 0  # Nobody knows when they came.

    q.publish_many(range(7))
    drained(q)
    a_sampler().step()
    q.publish_many(range(2))
    a_sampler().step()

    found = buckets(f"{any_store} a")
    assert (found["published"], found["delivered"], found["acked"]) == (9, 12, 12)
    assert QueueBucket.objects.filter(key=f"{any_store} a").latest("start").ready == 2


def test_a_time_in_which_nobody_looked_is_no_burst(database_only: str) -> None:
    q = queue("a")
    q.stats()
    a_sampler().step()
    q.publish_many(range(50))
    run_sql("UPDATE concord_queue_record SET seen_at = seen_at - interval '5 min'")
    a_sampler().step()

    assert (buckets("database a")["published"], record("a").published) == (0, 50)


def test_rates_are_exact_though_the_events_were_lost(own: OwnRedis) -> None:
    q = queue("a")
    q.stats()
    a_sampler().step()
    q.publish_many(range(30))
    drained(q)
    for key in own.client().keys("*:events"):
        own.client().delete(key)
    a_sampler().step()

    found = buckets("redis a")
    assert (found["published"], found["acked"]) == (30, 30)


def test_samplers_at_once_count_nothing_twice(any_store: str) -> None:
    q = queue("a")
    q.stats()
    a_sampler().step()
    done, failures = threading.Event(), list[BaseException]()

    def sample() -> None:
        try:
            while not done.is_set():
                a_sampler().step()
        except BaseException as error:  # noqa: BLE001
            failures.append(error)
        connections.close_all()

    threads = [threading.Thread(target=sample) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(40):
        q.publish(number)
    done.set()
    for thread in threads:
        thread.join()
    a_sampler().step()

    assert not failures
    assert buckets(f"{any_store} a")["published"] == 40


def test_a_store_that_is_away_keeps_no_other_from_being_sampled(
    own: OwnRedis, settings: Settings
) -> None:
    nowhere = {
        "BACKEND": "redis",
        "LOCATION": "redis://127.0.0.1:1/0",
        "OPTIONS": {"DEADLINE": 0.2},
    }
    only(settings, {**settings.COORDINATION["STORES"], "nowhere": nowhere})
    queue("a").publish("x")
    sampler = Sampler("default", ["nowhere", "redis"])

    assert sampler.step() == 2
    assert set(QueueRecord.objects.values_list("store", flat=True)) == {"redis"}


def test_a_queue_in_which_nothing_happens_is_asked_rarely(own: OwnRedis) -> None:
    queue("a").publish("x")
    sampler = a_sampler()

    assert sampler.step() == 2
    assert sampler.step() == 0


def test_rabbitmq_shows_what_it_knows_and_no_totals(rabbitmq_queues: str) -> None:
    q = queue("seen-by-sampler", using="rabbitmq", max_attempts=2)
    q.publish_many(range(3))
    one(q).reject(error="bad")
    Sampler("default", ["rabbitmq"]).step()

    row = QueueRecord.objects.get(key="rabbitmq seen-by-sampler")
    assert (row.dead, row.published) == (1, None)
    assert row.options["max_attempts"] == 2
