"""Events of counters in Redis, copied into the database exactly once, whatever fails."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connections

from coordination import counter
from coordination.counters.records import CounterRecord
from coordination.counters.stores.redis import shard_of, shard_prefix
from coordination.observing.fences import Fenced
from coordination.observing.tables import Cursor, Event
from tests.integration.counter_observing import (
    an_importer,
    an_observer,
    count,
    covered,
    drain,
    events,
    observe,
    own,
    record,
)
from tests.integration.own_redis import OwnRedis, own_redis

__all__ = ["own", "own_redis"]

pytestmark = pytest.mark.django_db(transaction=True)


def stream_of(name: str) -> str:
    """The key of the stream with a counter's events."""
    return f"{shard_prefix(shard_of(name))}events"


def of_same_shard(name: str) -> str:
    """Another counter whose events are in the same stream."""
    others = (f"{name}{number}" for number in range(1_000))
    return next(each for each in others if stream_of(each) == stream_of(name))


def test_a_record_tells_how_a_counter_stands_and_what_was_done_last(own: OwnRedis) -> None:
    stock = counter("stock:7", initial=100, minimum=0, maximum=500)
    stock.add(-2, op_id="order-1")
    stock.set(50, op_id="audit")
    observe()
    row = record("stock:7")

    assert (row.value, row.writes, row.changes, row.gap) == (50, 2, 2, False)
    assert (row.initial, row.minimum, row.maximum, row.shards) == (100, 0, 500, 1)
    assert row.last["kind"] == "counter.set"
    assert (row.last["op_id"], row.last["before"], row.last["after"]) == ("audit", 98, 50)
    assert sum(changes for _, changes in row.rates) == 2
    assert [data["id"] for _, data in events("stock:7")] == ["order-1", "audit"]


def test_a_counter_that_says_nothing_has_no_bounds(own: OwnRedis) -> None:
    count("plain", 3)
    observe()
    row = record("plain")
    assert (row.value, row.initial, row.minimum, row.maximum) == (3, 0, None, None)


def test_a_hot_counter_takes_few_events_and_every_change_is_in_one(own: OwnRedis) -> None:
    hot = counter("hot")
    for _ in range(5):
        hot.add_many([1] * 1_000)
    counter("cold").add(1)
    observe()

    assert record("hot").value == record("hot").changes == 5_000
    assert len(events("hot")) < 200
    assert covered("hot") == list(range(1, 5_001))
    assert sum(changes for _, changes in record("hot").rates) == 5_000
    assert covered("cold") == [1]


def test_importers_at_once_copy_each_change_once(own: OwnRedis) -> None:
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
        list(users.map(lambda number: count(f"n{number % 7}", *[1] * 20), range(14)))
    observe()
    done.set()
    for thread in threads:
        thread.join()

    assert not failures
    for number in range(7):
        assert covered(f"n{number}") == list(range(1, 41))
        assert record(f"n{number}").value == 40
    assert not CounterRecord.objects.filter(gap=True).exists()


@pytest.mark.parametrize("point", ["counter-import.commit.before", "counter-import.commit.after"])
def test_an_importer_that_was_killed_copies_nothing_twice(
    own: OwnRedis, process_environment: dict[str, str], tmp_path: Path, point: str
) -> None:
    count("a", 1, 2, 3)
    folder = tmp_path / "failpoints"
    folder.mkdir()
    (folder / f"{point}.arm").write_text(json.dumps({"action": "kill"}))
    killed = subprocess.run(
        [sys.executable, "manage.py", "concord", "observe", "--once"],
        env=process_environment
        | {
            "CONCORD_FAILPOINTS_DIR": str(folder),
            "FAILPOINTS": "1",
            "REDIS_URL": own.url.removesuffix("/1") + "/0",
        },
        cwd=Path(__file__).parents[2],
        check=False,
        timeout=60,
    )
    copied = Event.objects.filter(object="counter").count()
    observe()

    assert killed.returncode == -9
    assert copied == (3 if point.endswith("after") else 0)
    assert covered("a") == [1, 2, 3]
    assert record("a").value == 6


def test_a_stream_that_was_trimmed_is_a_gap_and_what_stands_still_is_told_anew(
    own: OwnRedis,
) -> None:
    other = of_same_shard("b")
    count("b", 1)
    count(other, 1)
    observe()
    count("b", 1, 1)
    own.client().xtrim(stream_of("b"), maxlen=0)
    count(other, 1)
    assert record("b").value == 1
    importer = an_importer()
    importer.step()
    assert Cursor.objects.filter(epoch__contains=":missing:").count() == 1
    drain(importer.step)
    drain(an_observer().step)

    assert (record("b").value, record("b").writes, record("b").gap) == (3, 3, False)
    assert [kind for kind, _ in events("b")] == ["added", "resynced"]
    assert (record(other).value, record(other).gap) == (2, False)
    assert not Cursor.objects.filter(epoch__contains=":missing:").exists()

    count("b", 1)
    observe()
    assert (record("b").value, record("b").writes, record("b").gap) == (4, 4, False)


def test_a_store_that_lost_everything_begins_another_history(own: OwnRedis) -> None:
    stock = counter("stock", initial=10)
    stock.add(5)
    count("a", 1)
    observe()
    own.client().flushdb()
    count("a", 7)
    observe()

    assert (record("stock").value, record("stock").writes) == (10, 0)
    assert (record("a").value, record("a").writes) == (7, 1)
    stock.add(1)
    observe()
    assert (record("stock").value, record("stock").gap) == (11, False)


def test_what_was_counted_while_the_store_was_away_is_copied_afterwards(own: OwnRedis) -> None:
    count("a", 1)
    observe()
    importer = an_importer()
    own.freeze()
    frozen = importer.step()
    own.thaw()
    count("a", 1)
    observe()

    assert frozen == 0
    assert covered("a") == [1, 2]


def test_an_event_nobody_can_read_is_a_gap_and_stops_nothing(own: OwnRedis) -> None:
    count("a", 1)
    own.client().xadd(stream_of("a"), {"e": "nonsense"})
    count("a", 1)
    observe()

    assert record("a").value == 2
    assert record("a").gap is False
    assert covered("a") == [1, 2]


def test_what_was_done_by_hand_keeps_who_and_why_even_strange_words(own: OwnRedis) -> None:
    why = 'counted "twice"\n\x00 by mistake'
    counter("a").adjust(-2, actor="ada", reason=why, op_id="mend")
    observe()
    row = record("a")

    assert (row.value, row.last["actor"]) == (-2, "ada")
    assert row.last["reason"].startswith('counted "twice"\n')
    assert counter("a").history(1)[0].reason == why
