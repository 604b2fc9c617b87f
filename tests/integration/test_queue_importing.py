"""Events that stores of queues keep themselves, copied into the database once, whatever fails."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections

from coordination import queue
from coordination.observing.fences import Fenced
from coordination.observing.loop import Pace, run
from coordination.observing.tables import Cursor, Event
from coordination.queues.records import MessageRecord, QueueRecord
from coordination.queues.stores.event_sources import event_sources
from coordination.queues.stores.redis_keys import events_key, shard_of
from tests.contract.queues.taking import drained, one, until
from tests.databases import ALIASES
from tests.integration.own_redis import OwnRedis, own_redis
from tests.integration.queue_observing import (
    _django_db_helper,
    an_importer,
    an_observer,
    drain,
    kinds,
    observe,
    own,
    record,
    sqlite_only,
    told,
)
from tests.queue_stores import sqlite_queues

__all__ = ["_django_db_helper", "own", "own_redis", "sqlite_only", "sqlite_queues"]

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)


def use(name: str, times: int = 1) -> None:
    """Publish, take and ack; with what the first use of a queue declares."""
    q = queue(name)
    for number in range(times):
        q.publish(number)
        one(q).ack()


def recorded() -> list[tuple[int, int]]:
    """Shards and positions of what the store recorded."""
    (source,) = event_sources()
    pages = source.read(dict.fromkeys(range(source.shards), 0), limit=100_000)
    return sorted((shard, each.position) for shard, page in pages.items() for each in page.entries)


def copied() -> list[tuple[int, int]]:
    """The same of what was copied."""
    (source,) = event_sources()
    return sorted(
        (shard_of(name.split(" ")[1]) if source.shards > 1 else 0, data["position"])
        for name, data in Event.objects.filter(object="queue").values_list("name", "data")
    )


def test_a_thousand_events_are_copied_once_and_folded(own: OwnRedis) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: use(f"n{number}", 20), range(20)))
    observe()

    assert copied() == recorded()
    assert MessageRecord.objects.filter(state="acked").count() == 400
    assert kinds("n3")[-3:] == ["message.published", "message.taken", "message.acked"]
    assert QueueRecord.objects.filter(name="n3").get().events == 61


def test_importers_at_once_copy_each_event_once(own: OwnRedis) -> None:
    done = threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        importer, observer = an_importer(), an_observer()
        try:
            while not done.is_set():
                for step in (importer.step, observer.step):
                    try:
                        step()
                    except Fenced:
                        continue
        except BaseException as error:  # noqa: BLE001
            failures.append(error)
        connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    with ThreadPoolExecutor(2) as users:
        list(users.map(lambda number: use(f"n{number % 7}", 20), range(14)))
    observe()
    done.set()
    for thread in threads:
        thread.join()

    assert not failures
    assert copied() == recorded()
    assert sum(QueueRecord.objects.values_list("events", flat=True)) == len(recorded())


def test_events_of_sqlite_are_copied_once_by_whoever_imports(sqlite_only: str) -> None:
    for _ in range(3):
        use("a", 3)
        observe()
        drain(an_importer().step)

    assert copied() == recorded()
    assert record("a").events == len(kinds("a")) == 28


def test_a_long_history_does_not_come_before_everything_else(
    own: OwnRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordination.queues.importing.WAITING_MAX", 10)
    use("a", 10)
    importer = an_importer()
    drain(importer.step)
    before = Event.objects.count()
    use("a", 10)

    assert (importer.step(), Event.objects.count()) == (0, before)
    drain(an_observer().step)
    drain(importer.step)
    assert copied() == recorded()


def eras() -> list[int]:
    found = Event.objects.filter(object="queue").order_by("id").values_list("data", flat=True)
    return [data.get("era", 0) for data in found]


def test_events_that_were_trimmed_before_they_were_read_begin_a_new_era(own: OwnRedis) -> None:
    use("a", 2)
    observe()
    use("a", 5)
    own.client().xtrim(events_key(shard_of("a")), maxlen=3, approximate=False)
    last = queue("a").publish("last")
    observe()

    assert set(eras()[:8]) == {0}
    assert eras()[8:] == [1] * 4
    assert told(last, queue="a") == ["published"]


def test_a_redis_that_forgot_everything_begins_a_new_era(own: OwnRedis) -> None:
    use("a", 3)
    observe()
    own.client().flushall()
    use("a", 2)
    observe()
    observe()

    assert eras() == [0] * 11 + [1] * 8
    assert record("a").events == 17


def test_events_that_sqlite_forgot_begin_a_new_era(sqlite_only: str) -> None:
    use("a", 2)
    observe()
    use("a", 2)
    with connections[sqlite_only].cursor() as cursor:
        cursor.execute(
            "DELETE FROM concord_queue_event WHERE id < (SELECT max(id) FROM concord_queue_event)"
        )
    use("a", 1)
    observe()

    assert set(eras()[:8]) == {0}
    assert eras()[8:] == [1] * 4


def test_what_nobody_can_read_or_store_stops_nothing(own: OwnRedis) -> None:
    use("a")
    queue("a").pause(actor="me", reason="nul \x00 and \ud800 and 😀")
    queue("a").resume(actor="me", reason="")
    key = events_key(shard_of("a"))
    for garbage in (
        "garbage",
        "message.taken\na\n1\nn\no\nx\n{}",
        "message.acked\na\n1\n\n\n9\n[]",
    ):
        own.client().xadd(key, {"e": garbage})
    use("a")
    observe()

    assert [kind.split(".")[1] for kind in kinds("a")][-3:] == ["published", "taken", "acked"]
    assert eras()[-1] == 3


def test_what_happened_while_nobody_watched_or_the_store_was_away_is_copied(own: OwnRedis) -> None:
    stop = threading.Event()
    importer, observer = an_importer(), an_observer()
    pace = Pace(busy_s=0.005, idle_s=0.01)
    loops = [
        threading.Thread(target=run, args=(name, step), kwargs={"pace": pace, "stop": stop})
        for name, step in (("importer", importer.step), ("observer", observer.step))
    ]
    for loop in loops:
        loop.start()
    try:
        use("a")
        until(lambda: MessageRecord.objects.filter(state="acked").count() == 1)
        own.freeze()
        threading.Event().wait(0.7)
        own.thaw()
        use("a")
        until(lambda: MessageRecord.objects.filter(state="acked").count() == 2)
        own.kill()
        threading.Event().wait(0.3)
        own.start()
        use("b")
        until(lambda: MessageRecord.objects.filter(key="redis b", state="acked").exists())
    finally:
        stop.set()
        for loop in loops:
            loop.join()
    assert Cursor.objects.filter(name="queue:redis").exists()


def test_a_batch_is_one_event_with_all_its_messages(own: OwnRedis) -> None:
    q = queue("a")
    ids = q.publish_many(range(1_000))
    drained(q)
    observe()

    published = Event.objects.get(object="queue", kind="message.published")
    assert published.data["ids"] == ids
    assert record("a").events < 40
