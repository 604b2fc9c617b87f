"""The observer: places in the feed, records, roll-ups, and what survives which failure."""

import json
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.db.models import Max

from coordination import conf, registry
from coordination.connections.redis import RedisStore
from coordination.observing.feed import Feed
from coordination.observing.fences import Fenced
from coordination.observing.journal import Journal
from coordination.observing.loop import Pace, run
from coordination.observing.rebuild import rebuild
from coordination.observing.records import Intervention
from coordination.observing.tables import Cursor, Event
from coordination.transactions import operations
from coordination.transactions.recording import TransactionProjection
from coordination.transactions.records import RollUp, TransactionRecord
from tests.integration import ledger
from tests.integration.observing import a_feed, an_observer, drain, move, seqs
from tests.integration.own_redis import OwnRedis, own_redis  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "bank_a", "bank_b"])

QUICK = Pace(busy_s=0.005, idle_s=0.01)


@pytest.fixture(autouse=True)
def _ledgers(transactional_db: None) -> Iterator[None]:
    with ledger.ledgers():
        yield


def sequence() -> list[int | None]:
    return list(Event.objects.order_by("seq").values_list("seq", flat=True))


def rows() -> list[dict[str, Any]]:
    return list(TransactionRecord.objects.order_by("gid").values())


def last_seq(feed: Feed) -> int:
    newest = feed.newest()[1]
    return 0 if newest is None else int(newest["seq"])


def test_a_transaction_becomes_a_record_and_messages_in_order() -> None:
    feed = a_feed()
    committed, aborted = move(), move(500)
    drain(an_observer(feed))
    messages = feed.read_since(0)
    record = TransactionRecord.objects.get(gid=committed)

    assert sequence() == seqs(messages) == list(range(1, Event.objects.count() + 1))
    assert (record.state, record.waits_for, record.gap) == ("committed", "2 of 2 applied", False)
    assert record.branches[0]["using"] == "bank_a"
    assert TransactionRecord.objects.get(gid=aborted).waits_for == (
        "voted no: test.b.add, insufficient funds"
    )
    last = [message for message in messages if message["name"] == committed][-1]
    assert last["kind"] == "transaction.ended"
    assert last["row"]["version"] == last["version"] == record.version
    assert last["row"]["feed_seq"] == last["seq"] == record.feed_seq
    assert {message["epoch"] for message in messages} == {Cursor.objects.get().epoch}


def test_rates_count_what_was_observed() -> None:
    move()
    move(500)
    drain(an_observer(None))
    totals = [sum(r[name] for r in RollUp.objects.values()) for name in ("begun", "ended")]

    assert totals == [2, 2]
    assert sum(r.committed for r in RollUp.objects.all()) == 1
    assert sum(r.aborted for r in RollUp.objects.all()) == 1
    assert max(r.decide_ms_max for r in RollUp.objects.all()) > 0


def test_records_are_kept_without_a_feed() -> None:
    gid = move()
    drain(an_observer(None))

    assert TransactionRecord.objects.get(gid=gid).state == "committed"


def test_observers_at_once_never_give_a_place_twice() -> None:
    feed = a_feed()
    done = threading.Event()
    failures: list[BaseException] = []
    totals: list[int] = []

    def observe() -> None:
        observer, total = an_observer(feed), 0
        try:
            while not done.is_set():
                try:
                    total += observer.step()
                except Fenced:
                    continue
            observer.stand_by()
        except BaseException as error:  # noqa: BLE001
            failures.append(error)
        totals.append(total)
        connections.close_all()

    threads = [threading.Thread(target=observe) for _ in range(3)]
    for thread in threads:
        thread.start()
    gids = {move() for _ in range(15)}
    drain(an_observer(feed))
    done.set()
    for thread in threads:
        thread.join()
    count = Event.objects.count()

    assert not failures
    assert sum(totals) <= count
    assert sequence() == list(range(1, count + 1))
    assert seqs(feed.read_since(0)) == list(range(1, count + 1))
    assert {row["state"] for row in rows()} == {"committed"}
    assert {row["gid"] for row in rows()} == gids
    assert sum(r.ended for r in RollUp.objects.all()) == 15


def test_a_fenced_batch_leaves_nothing_behind() -> None:
    move()
    journal = Journal("default")
    place, pending = journal.pending()
    drain(an_observer(None))
    before = (Cursor.objects.values().get(), sequence())
    move()
    fresh = list(Event.objects.filter(seq=None).values_list("id", flat=True))

    with pytest.raises(Fenced):
        journal.commit(place, fresh)
    assert len(pending) == before[0]["seq"]
    assert before[0] == Cursor.objects.values().get()
    assert Event.objects.filter(seq=None).count() == len(fresh)


def test_an_observer_killed_between_commit_and_append_loses_nothing(
    process_environment: dict[str, str], tmp_path: Path
) -> None:
    mailbox = conf.current().transactions.mailbox
    assert mailbox is not None
    store, node = registry.redis_store(mailbox), conf.current().node
    # What other tests did to locks, counters and queues would be observed as well.
    store.call("FLUSHDB")
    feed = Feed(store, node)
    move()
    drain(an_observer(feed))
    whole = last_seq(feed)
    gid = move()
    (tmp_path / "observe.append.before.arm").write_text(json.dumps({"action": "kill"}))
    environment = process_environment | {"CONCORD_FAILPOINTS_DIR": str(tmp_path), "FAILPOINTS": "1"}
    killed = subprocess.run(
        [sys.executable, "manage.py", "concord", "observe", "--once"],
        env=environment,
        cwd=Path(__file__).parents[2],
        check=False,
        timeout=60,
    )
    committed = Cursor.objects.get(name="feed").seq

    assert killed.returncode == -9
    assert (tmp_path / "observe.append.before.fired").exists()
    assert last_seq(feed) == whole < committed == Event.objects.count()

    an_observer(feed).stand_by()
    messages = feed.read_since(0)
    assert seqs(messages) == list(range(1, committed + 1))
    assert len({message["epoch"] for message in messages}) == 1
    assert messages[-1]["row"]["gid"] == gid


def test_a_flushed_feed_begins_a_new_epoch() -> None:
    feed, mailbox = a_feed(), conf.current().transactions.mailbox
    assert mailbox is not None
    observer = an_observer(feed)
    move()
    drain(observer)
    (old_epoch, _), last = feed.newest(), last_seq(feed)
    registry.redis_store(mailbox).call("DEL", feed.stream, feed.epoch)
    observer.stand_by()
    epoch, _ = feed.newest()

    assert last == last_seq(feed)
    assert epoch not in (None, old_epoch)
    assert {message["epoch"] for message in feed.read_since(0)} == {epoch}
    move()
    drain(observer)
    assert seqs(feed.read_since(last))[0] == last + 1


def test_a_database_behind_its_feed_begins_a_new_epoch() -> None:
    """As after a restore from an older backup: the same places are given again."""
    feed = a_feed()
    move()
    drain(an_observer(feed))
    old_epoch, _ = feed.newest()
    TransactionRecord.objects.all().delete()
    Cursor.objects.update(seq=0)
    Event.objects.all().delete()
    move()
    drain(an_observer(feed))
    epoch, _ = feed.newest()

    assert epoch != old_epoch
    assert last_seq(feed) == Cursor.objects.get().seq


def test_records_go_on_while_redis_is_down_and_the_feed_is_whole_afterwards(
    own_redis: OwnRedis,  # noqa: F811
) -> None:
    feed = Feed(RedisStore("own", own_redis.url), "test")
    stop = threading.Event()
    observer = an_observer(feed)
    loop = threading.Thread(
        target=run,
        args=("observer", observer.step),
        kwargs={
            "pace": QUICK,
            "stop": stop,
            "stand_by": observer.stand_by,
            "stand_by_every_s": 0.05,
        },
    )
    loop.start()
    try:
        move()
        first = feed.read_since(0, block_ms=10_000)
        own_redis.kill()
        during = move()
        recorded = await_record(during)
        own_redis.start()
        reader = Feed(RedisStore("again", own_redis.url), "test")
        messages = reader.read_since(0, block_ms=20_000)
    finally:
        stop.set()
        loop.join()

    assert first[0]["seq"] == 1
    assert recorded == "committed"
    assert messages[0]["epoch"] != first[0]["epoch"]
    assert during in {message["name"] for message in messages}


def await_record(gid: str) -> str:
    """The state of a record once its transaction has ended in it."""
    found: dict[str, Any] | None = None
    ended = TransactionRecord.objects.filter(gid=gid, ended_at__isnull=False)
    pause = threading.Event()
    for _ in range(1000):
        found = ended.values("state").first()
        if found is not None:
            return str(found["state"])
        pause.wait(0.01)
    raise AssertionError(f"{gid} was not recorded within 10 s")


def test_the_loop_survives_the_loss_of_its_database_connection() -> None:
    stop = threading.Event()
    observer = an_observer(None)
    loop = threading.Thread(
        target=run, args=("observer", observer.step), kwargs={"pace": QUICK, "stop": stop}
    )
    loop.start()
    try:
        assert await_record(move()) == "committed"
        ledger.execute(
            "default",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        assert await_record(move()) == "committed"
    finally:
        stop.set()
        loop.join()


def test_an_event_waits_for_its_predecessor_then_a_gap_is_marked_then_healed() -> None:
    gid = move()
    missing = Event.objects.get(name=gid, version=3)
    missing.delete()
    observer = an_observer(None)
    drain(observer)

    record = TransactionRecord.objects.get(gid=gid)
    assert (record.version, record.gap) == (2, False)
    other = move()
    drain(observer)
    assert TransactionRecord.objects.get(gid=other).state == "committed"

    ledger.execute(
        "default", "UPDATE concord_event SET at = at - interval '61 s' WHERE seq IS NULL"
    )
    drain(observer)
    record = TransactionRecord.objects.get(gid=gid)
    assert (record.state, record.gap) == ("committed", True)

    missing.save(force_insert=True)
    drain(observer)
    record = TransactionRecord.objects.get(gid=gid)
    assert (record.state, record.gap) == ("committed", False)
    assert record.feed_seq == Event.objects.aggregate(last=Max("seq"))["last"]


def test_records_rebuilt_from_events_are_the_same() -> None:
    for cents in (10, 500, 20):
        move(cents)
    operations_gid = move()
    operations.store().note(
        operations_gid,
        "transaction.resolved",
        data={"action": "acknowledge", "reason": "seen by hand", "actor": "m.keller"},
        by="m.keller",
    )
    drain(an_observer(None))
    before = rows(), list(RollUp.objects.order_by("bucket").values())
    TransactionRecord.objects.filter(gid=operations_gid).update(waits_for="nonsense")
    folded = rebuild(Journal("default"), [TransactionProjection()])

    assert folded == Event.objects.count()
    assert before == (rows(), list(RollUp.objects.order_by("bucket").values()))
    intervention = Intervention.objects.get()
    assert (intervention.actor, intervention.action) == ("m.keller", "acknowledge")
    assert intervention.reason == "seen by hand"


def test_old_roll_ups_are_pruned() -> None:
    move()
    drain(an_observer(None))
    RollUp.objects.create(bucket="2020-01-01T00:00:00Z", begun=1)
    from coordination.connections import database

    database.run("default", *TransactionProjection().prune())

    assert RollUp.objects.filter(begun__gt=0).count() == 1


def test_a_large_payload_is_left_out_of_the_feed() -> None:
    feed = a_feed()
    gid = move()
    begun = Event.objects.get(name=gid, kind="transaction.begun")
    begun.data["branches"][0]["args"] = {"text": secrets.token_hex(8_000)}
    begun.save()
    drain(an_observer(feed))
    first = feed.read_since(0)[0]

    assert first["data"].keys() == {"omitted_bytes"}
    assert first["row"]["gid"] == gid
