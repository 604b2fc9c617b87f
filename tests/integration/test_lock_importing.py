"""Events of locks in Redis, copied into the database exactly once, whatever fails."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connections

from coordination import lock
from coordination.locks.records import LockGrant, LockRecord
from coordination.locks.stores.sources import event_sources
from coordination.locks.types import Kind, Resource
from coordination.observing.fences import Fenced
from coordination.observing.loop import Pace, run
from coordination.observing.records import Intervention
from coordination.observing.tables import Cursor, Event
from tests.contract.locks.asking import held, pass_time, until
from tests.integration.lock_observing import (
    an_importer,
    an_observer,
    drain,
    kinds,
    observe,
    own,
    record,
    use,
)
from tests.integration.own_redis import OwnRedis, own_redis

__all__ = ["own", "own_redis"]

pytestmark = pytest.mark.django_db(transaction=True)


def stream_of(own: OwnRedis, name: str) -> str:
    """The key of the stream with a lock's events."""
    shard = event_sources()[0].shard_of(Resource(Kind.LOCK, name))
    return f"concord:{{lock-{shard}}}:events"


def positions() -> list[tuple[int, int]]:
    """Shards and positions of what was copied, in the order of copying."""
    source = event_sources()[0]
    return [
        (source.shard_of(Resource(Kind.LOCK, name.split(" ", 2)[2])), data["position"])
        for name, data in Event.objects.filter(object="lock")
        .exclude(kind="lock.resynced")
        .order_by("id")
        .values_list("name", "data")
    ]


def recorded(own: OwnRedis) -> list[tuple[int, int]]:
    """Shards and positions of what Redis recorded."""
    return sorted(
        (shard, int(id_.split("-")[0]))
        for shard in range(16)
        for id_, _ in own.client().xrange(f"concord:{{lock-{shard}}}:events")
    )


def test_two_thousand_events_are_copied_once_and_folded(own: OwnRedis) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: use(f"n{number}", 50, wait=30), range(20)))
    observe()

    assert Event.objects.filter(object="lock").count() == 2_000
    assert Counter(records_ends()) == {"released": 20}
    assert LockGrant.objects.filter(ended="released").count() == 1_000
    assert sorted(positions()) == recorded(own)
    assert all(len(kinds(f"n{number}")) == 100 for number in range(20))
    assert not LockRecord.objects.filter(gap=True).exists()


def test_a_long_history_does_not_come_before_everything_else(
    own: OwnRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordination.locks.importing.WAITING_MAX", 10)
    use("a", 10)
    importer = an_importer()
    drain(importer.step)
    copied = Event.objects.count()
    use("a", 10)

    assert (importer.step(), Event.objects.count()) == (0, copied)
    drain(an_observer().step)
    drain(importer.step)
    assert Event.objects.count() == 40


def records_ends() -> list[str]:
    return list(LockRecord.objects.values_list("last_end", flat=True))


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
        list(users.map(lambda number: use(f"n{number % 7}", 20, wait=30), range(14)))
    observe()
    done.set()
    for thread in threads:
        thread.join()
    found = positions()

    assert not failures
    assert sorted(found) == sorted(set(found))
    assert sorted(found) == recorded(own)
    assert LockGrant.objects.filter(ended="released").count() == 280
    assert not LockRecord.objects.filter(gap=True).exists()


@pytest.mark.parametrize("point", ["import.commit.before", "import.commit.after"])
def test_an_importer_that_was_killed_copies_nothing_twice(
    own: OwnRedis, process_environment: dict[str, str], tmp_path: Path, point: str
) -> None:
    use("a", 3)
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
    copied = Event.objects.filter(object="lock").count()
    observe()

    assert killed.returncode == -9
    assert copied == (6 if point.endswith("after") else 0)
    assert kinds("a") == ["granted", "released"] * 3
    assert sorted(positions()) == recorded(own)


def test_a_stream_that_was_trimmed_is_a_gap_and_told_anew(own: OwnRedis) -> None:
    use("b")
    observe()
    keeper = held(lock("b", owner="keeper", renew=False).acquire())
    own.client().xtrim(stream_of(own, "b"), maxlen=0)
    use_same_shard(own, "b")
    assert LockRecord.objects.get(name="b").holding == 0
    importer = an_importer()
    importer.step()
    assert Cursor.objects.filter(epoch__contains=":missing:").count() == 1
    drain(importer.step)
    drain(an_observer().step)

    row = record("b")
    assert (row.owner, row.token, row.gap) == ("keeper", keeper.token, False)
    assert kinds("b") == ["granted", "released", "resynced"]
    assert not Cursor.objects.filter(epoch__contains=":missing:").exists()

    keeper.release()
    observe()
    assert (record("b").holding, record("b").gap) == (0, False)
    assert LockGrant.objects.get(token=keeper.token).ended == "released"


def use_same_shard(own: OwnRedis, name: str) -> str:
    """Use another lock of the same shard; returns its name."""
    other = next(
        each
        for each in (f"{name}{number}" for number in range(1_000))
        if stream_of(own, each) == stream_of(own, name)
    )
    use(other)
    return other


def test_a_redis_that_forgot_everything_begins_a_new_era(own: OwnRedis) -> None:
    lost = held(lock("a", owner="lost", renew=False).acquire())
    use("b", 3)
    observe()
    own.client().flushall()
    use("b", 2)
    kept = held(lock("c", owner="kept", renew=False).acquire())
    observe()
    observe()

    assert kinds("b") == ["granted", "released"] * 5
    assert (record("a").holding, record("a").gap) == (0, False)
    assert LockGrant.objects.get(token=lost.token).ended == "unseen"
    assert (record("c").owner, record("c").token) == ("kept", kept.token)


@pytest.mark.parametrize("again", [True, False])
def test_a_redis_restarted_without_its_tail_is_told_apart(own: OwnRedis, again: bool) -> None:
    """What it forgot had been copied; what comes then has other positions."""
    use("a", 4)
    observe()
    remade = own.client().xrange(stream_of(own, "a"))[:-3]
    own.client().delete(stream_of(own, "a"))
    for id_, entry in remade:
        own.client().xadd(stream_of(own, "a"), entry, id=id_)
    if again:
        use("a", 1)
    observe()
    observe()
    use("a", 1)
    observe()

    found = kinds("a")
    assert found[:8] == ["granted", "released"] * 4
    new = [kind for kind in found[8:] if kind != "resynced"]
    assert new == ["granted", "released"] * (2 if again else 1)
    assert (record("a").holding, record("a").gap) == (0, False)
    assert LockGrant.objects.count() == 4 + len(new) // 2


def test_what_happened_while_nobody_watched_is_copied_afterwards(own: OwnRedis) -> None:
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
        until(lambda: LockRecord.objects.filter(name="a", last_end="released").exists())
        own.freeze()
        pass_time(0.7)
        own.thaw()
        use("a")
        until(lambda: LockGrant.objects.filter(ended="released").count() == 2, within_s=15)
        own.kill()
        pass_time(0.3)
        own.start()
        use("b")
        until(
            lambda: LockRecord.objects.filter(name="b", last_end="released").exists(), within_s=15
        )
    finally:
        stop.set()
        for loop in loops:
            loop.join()
    assert kinds("a")[:4] == ["granted", "released"] * 2


def test_what_nobody_can_read_or_store_stops_nothing(own: OwnRedis) -> None:
    use("a")
    lock("a").acquire()
    lock.force_release("a", actor="me", reason="nul \x00 and \ud800 and 😀")
    (newest, _), *_ = own.client().xrevrange(stream_of(own, "a"), count=1)
    stamp = int(newest.split("-")[0]) + 1
    own.client().xadd(stream_of(own, "a"), {"e": "garbage"}, id=f"{stamp}-0")
    use("a")
    observe()
    observe()

    found = [kind for kind in kinds("a") if kind != "resynced"]
    assert found == ["granted", "released", "granted", "forced", "granted", "released"]
    assert "😀" in Intervention.objects.get().reason
    assert (record("a").gap, record("a").holding) == (False, 0)
