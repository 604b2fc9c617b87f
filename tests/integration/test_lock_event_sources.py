"""Events of locks in SQLite and ZooKeeper: copied once, and folded as those in Redis are."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings

from coordination import lock, registry, semaphore
from coordination.locks.auditor import LockAuditor
from coordination.locks.foreign import LockEventSource
from coordination.locks.looking import Lookout
from coordination.locks.records import LockGrant, LockRecord, LockRefusal
from coordination.locks.stores import lock_store
from coordination.locks.stores.sources import event_sources
from coordination.locks.stores.zookeeper import ZooKeeperLocks, journal
from coordination.locks.types import Kind, Resource
from coordination.observing.records import Intervention, Verdict
from coordination.observing.tables import Cursor, Event
from tests.contract.locks.asking import asked, have, held, pass_time, until
from tests.integration.lock_observing import an_importer, drain, observe, record, run_sql, use
from tests.integration.sqlite_locks import look, sidecar
from tests.integration.zookeeper_store import client_of, other_process
from tests.lock_stores import SQLITE, sqlite_locks

__all__ = ["sqlite_locks"]

pytestmark = pytest.mark.django_db(transaction=True)

ZOOKEEPER = "zookeeper"
NOWHERE = {"BACKEND": "zookeeper", "LOCATION": "127.0.0.1:1", "OPTIONS": {"DEADLINE": 0.2}}
Stores = dict[str, dict[str, object]]


def only(settings: Settings, stores: Stores) -> None:
    settings.COORDINATION = {"NODE": "test", "STORES": stores}


@pytest.fixture
def sqlite(sqlite_locks: str, settings: Settings) -> str:
    only(settings, {SQLITE: django_settings.COORDINATION["STORES"][SQLITE]})
    return SQLITE


@pytest.fixture
def location(zookeeper_hosts: str) -> str:
    """A node of this test's own."""
    return f"{zookeeper_hosts}/test-{secrets.token_hex(4)}"


@pytest.fixture
def zookeeper(location: str, settings: Settings) -> Iterator[str]:
    store = {"BACKEND": "zookeeper", "LOCATION": location, "OPTIONS": {"DEADLINE": 10}}
    only(settings, {ZOOKEEPER: store})
    yield ZOOKEEPER
    registry.zookeeper_store(ZOOKEEPER).close()


@pytest.fixture
def redis(settings: Settings) -> str:
    """The run's own; what other tests left there is none of this test's names."""
    only(settings, {"redis": django_settings.COORDINATION["STORES"]["redis"]})
    return "redis"


@pytest.fixture
def database(settings: Settings) -> str:
    """PostgreSQL, which writes straight into the database's events."""
    only(settings, {"database": {"BACKEND": "database", "USING": "default"}})
    return "database"


@pytest.fixture(params=["redis", "database", SQLITE, ZOOKEEPER])
def every_alias(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture(params=[SQLITE, ZOOKEEPER])
def alias(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture(params=["redis", SQLITE, ZOOKEEPER])
def any_alias(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def source() -> LockEventSource:
    (found,) = event_sources()
    return found


def zookeeper_locks() -> ZooKeeperLocks:
    found = lock_store(ZOOKEEPER)
    assert isinstance(found, ZooKeeperLocks)
    return found


def positions() -> list[int]:
    """Of what was copied, in the order of copying."""
    events = Event.objects.filter(object="lock").exclude(kind="lock.resynced").order_by("id")
    return [data["position"] for data in events.values_list("data", flat=True)]


def kinds(alias: str, name: str) -> list[str]:
    events = Event.objects.filter(object="lock", name=f"{alias} lock {name}").order_by("version")
    return [kind.removeprefix("lock.") for kind in events.values_list("kind", flat=True)]


def expired(name: str) -> None:
    """A lease that ran out, of which the next who asks is told."""
    held(lock(name, owner="brief", ttl=0.05, renew=False).acquire())
    pass_time(0.1)
    with lock(name, owner="next", wait=5):
        pass


def test_a_history_becomes_the_same_records_whatever_store_tells_it(any_alias: str) -> None:
    name, store = secrets.token_hex(4), lock_store(any_alias)
    first = held(lock(name, owner="first", metadata={"why": "invoice"}).acquire())
    waiter = asked(name)
    store.acquire(waiter, stay_ms=5_000)
    observe()

    row = record(name)
    assert (row.store, row.owner, row.holding, row.waiting) == (any_alias, "first", 1, 1)
    (holder,) = row.holders
    assert (holder["node"], holder["metadata"]) == ("test", {"why": "invoice"})
    assert (holder["token"], holder["limit"]) == (first.token, 1)
    assert [each["owner"] for each in row.waiters] == [waiter.owner]

    first.renew()
    first.release()
    have(store.acquire(waiter, stay_ms=5_000))
    store.release(waiter)
    expired(name)
    late = held(lock(name, owner="late", renew=False).acquire())
    lock.force_release(name, actor="m.keller", reason="stuck")
    store.release(late.request)
    observe()

    row = record(name)
    assert (row.holding, row.waiting, row.gap, row.last_end) == (0, 0, False, "forced")
    found = LockGrant.objects.filter(key=row.key).order_by("token")
    assert [
        (each.owner, each.renewals, each.ended, each.actor, each.asked_at is not None)
        for each in found
    ] == [
        ("first", 1, "released", "", True),
        (waiter.owner, 0, "released", "", True),
        ("brief", 0, "expired", "", True),
        ("next", 0, "released", "", True),
        ("late", 0, "forced", "m.keller", True),
    ]
    assert row.token == late.token == found[4].token
    # Who hands it on, and whether anybody saw the lease end before he waited, is the store's.
    told = [each for each in kinds(any_alias, name) if each not in ("handed", "waiting")]
    expected = "granted renewed released granted released granted expired granted released granted"
    assert told == [*expected.split(), "forced", "release_refused"]
    action = Intervention.objects.get(name=f"{any_alias} lock {name}")
    assert (action.action, action.actor, action.reason) == ("force_release", "m.keller", "stuck")
    assert LockRefusal.objects.get(key=row.key).owner == "late"


def test_a_lease_that_ran_out_is_told_of_without_anybody_asking(every_alias: str) -> None:
    name = secrets.token_hex(4)
    held(lock(name, owner="brief", ttl=0.05, renew=False).acquire())
    observe()
    lookout = Lookout("default", an_importer())
    pass_time(0.1)
    run_sql("UPDATE concord_lock_record SET until = until - interval '5 s' WHERE name = %s", name)

    def told() -> bool:
        lookout.look()
        observe()
        return record(name).holding == 0

    until(told)
    assert kinds(every_alias, name) == ["granted", "expired"]
    assert LockGrant.objects.get(key=record(name).key).ended == "expired"


def test_each_event_is_copied_once_by_whoever_imports(alias: str) -> None:
    for _ in range(3):
        use("a", 5)
        observe()
        drain(an_importer().step)
    entries = source().read({0: 0}, limit=1_000)[0].entries

    assert positions() == [each.position for each in entries] == list(range(1, 31))
    assert not LockRecord.objects.filter(gap=True).exists()
    assert LockGrant.objects.filter(ended="released").count() == 15


def test_a_history_is_judged_to_have_excluded(alias: str) -> None:
    permits = [held(semaphore("s", permits=2).acquire()) for _ in range(2)]
    lock_store(alias).acquire(asked("a"), stay_ms=5_000)
    waiter = asked("a")
    lock_store(alias).acquire(waiter, stay_ms=5_000)
    lock.force_release("a", actor="m.keller", reason="stuck")
    have(lock_store(alias).acquire(waiter, stay_ms=5_000))
    permits.pop().release()
    observe()
    assert record("s", kind="semaphore").holders[0]["limit"] == 2

    drain(LockAuditor("default", stores=[alias]).step)
    verdict = Verdict.objects.get(name="mutual_exclusion")
    assert (verdict.state, verdict.checked) == ("HOLDS", 4)
    permits.pop().release()


def test_a_page_begins_with_the_event_at_its_position(alias: str) -> None:
    use("a", 5)
    whole = source().read({0: 0}, limit=1_000)[0]
    page = source().read({0: 4}, limit=3)[0]

    assert [each.position for each in page.entries] == [4, 5, 6, 7]
    assert page.more
    assert list(page.entries) == list(whole.entries[3:7])
    assert (whole.begins, whole.more) == (True, False)
    assert len({each.print for each in whole.entries}) == 10
    assert source().read({0: 10}, limit=3)[0].entries == whole.entries[9:]


def era(alias: str) -> str:
    """Which one it is, and whether all is known again."""
    return ":".join(Cursor.objects.get(name=f"lock:{alias}:0").epoch.split(":")[:2])


def forget_up_to(position: int) -> None:
    look(f"DELETE FROM event WHERE position <= {position}")


def test_events_that_sqlite_forgot_begin_a_new_era(sqlite: str) -> None:
    keeper = held(lock("kept", owner="keeper", renew=False).acquire())
    use("a")
    observe()
    held(lock("late", owner="late", renew=False).acquire())
    gone = held(lock("gone", owner="gone", renew=False).acquire())
    use("a", 5)
    forget_up_to(8)
    gone.release()
    observe()
    importer = an_importer()
    Lookout("default", importer).look()  # an end without a beginning is told anew
    drain(importer.step)
    observe()

    assert era(sqlite) == "1:whole"
    owners = dict(LockRecord.objects.values_list("name", "owner"))
    assert owners == {"kept": "keeper", "late": "late", "a": "", "gone": ""}
    assert not LockRecord.objects.filter(gap=True).exists()
    assert record("kept").token == keeper.token


def test_another_file_in_the_place_of_the_first_is_another_history(sqlite: str) -> None:
    held(lock("lost", owner="lost", renew=False).acquire())
    use("a", 3)
    observe()
    for end in ("", "-wal", "-shm"):
        sidecar().with_name(sidecar().name + end).unlink(missing_ok=True)
    held(lock("new", owner="new", renew=False).acquire())
    observe()

    owners = dict(LockRecord.objects.values_list("name", "owner"))
    assert owners == {"lost": "", "a": "", "new": "new"}
    assert era(sqlite) == "1:whole"


def test_a_lock_is_taken_while_its_events_are_read(sqlite: str) -> None:
    use("a")
    events = event_sources()[0]
    events.read({0: 0}, limit=10)
    with events._sidecar.transaction(1_000, reads=True) as reading:  # type: ignore[attr-defined]
        before = reading.execute("SELECT count(*) FROM event").fetchall()
        use("a")
        assert reading.execute("SELECT count(*) FROM event").fetchall() == before


def test_events_that_zookeeper_forgot_begin_a_new_era(
    zookeeper: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SEGMENT_EVENTS", 10)
    monkeypatch.setattr(journal, "SEGMENTS_KEPT", 1)
    held(lock("kept", owner="keeper", renew=False).acquire())
    use("a")
    observe()
    imported = positions()[-1]
    held(lock("late", owner="late", renew=False).acquire())

    def forgotten() -> bool:
        use("a")
        return zookeeper_locks().events(limit=1)[0].position > imported

    until(forgotten, within_s=30)
    observe()

    assert era(zookeeper) == "1:whole"
    owners = dict(LockRecord.objects.values_list("name", "owner"))
    assert owners == {"kept": "keeper", "late": "late", "a": ""}
    assert not LockRecord.objects.filter(gap=True).exists()


def test_nothing_before_a_hole_is_taken_for_what_comes_before_it(
    zookeeper: str, location: str
) -> None:
    """While an old segment is being removed, any of its events may be gone already."""
    use("a", 4)
    root = location[location.index("/") :]
    client_of().delete(f"{root}/concord/events/0/0000000003")
    page = source().read({0: 2}, limit=100)[0]

    assert [each.position for each in page.entries] == [5, 6, 7, 8]


def test_the_end_of_a_killed_holder_is_imported_without_anybody_asking(
    zookeeper: str, location: str
) -> None:
    importer = an_importer()
    with other_process(location, "hold"):
        until(lambda: importer.step() > 0, within_s=20)
        observe()
        assert (record("a").holding, record("a").holders[0]["node"]) == (1, "other")

    def ended() -> bool:
        importer.step()
        return kinds(zookeeper, "a") == ["granted", "expired"]

    until(ended, within_s=20)
    observe()
    assert (record("a").holding, record("a").last_end) == (0, "expired")


def test_what_a_later_version_recorded_keeps_nobody_from_reading_on(
    zookeeper: str, location: str
) -> None:
    keeper = held(lock("a", owner="keeper", renew=False).acquire())
    segment = f"{location[location.index('/') :]}/concord/events/0/"
    unknown = b'{"kind":"lock.granted","of":"ballot","name":"b","id":"x","node":"n"}'
    for data in (unknown, b"[]", b"{"):
        client_of().create(segment, data, sequence=True)
    keeper.release()
    observe()

    assert zookeeper_locks().reconcile() == 0
    assert positions() == [1, 5]
    assert record("a").holding == 0


def test_a_waiter_that_gives_up_when_its_turn_has_come_is_no_former_holder(
    zookeeper: str,
) -> None:
    holder, waiter = asked("a"), asked("a")
    locks = zookeeper_locks()
    have(locks.acquire(holder, stay_ms=0))
    locks.acquire(waiter, stay_ms=5_000)
    locks.release(holder)
    locks.release(waiter)
    observe()
    drain(LockAuditor("default", stores=[zookeeper]).step)

    assert (record("a").gap, record("a").waiting, record("a").holding) == (False, 0, 0)
    assert Verdict.objects.get(name="mutual_exclusion").state == "HOLDS"


def test_a_snapshot_has_those_whose_lease_ran_out_unsaid(alias: str) -> None:
    request = asked("a", ttl_ms=20)
    have(lock_store(alias).acquire(request, stay_ms=0))
    pass_time(0.05)
    resource = Resource(Kind.LOCK, "a")
    (told,) = source().snapshots([resource])

    assert told.position == 1
    assert [each.id for each in told.info.holders] == [request.id]
    assert list(source().live()) == [resource]


def test_a_store_that_is_not_there_keeps_no_other_from_being_imported(
    sqlite: str, settings: Settings
) -> None:
    stores = dict(django_settings.COORDINATION["STORES"])
    settings.COORDINATION = {
        "NODE": "test",
        "DEFAULT": sqlite,
        "STORES": {ZOOKEEPER: NOWHERE, **stores},
    }
    use("a", 2)
    observe()

    assert [each.alias for each in event_sources()] == [ZOOKEEPER, SQLITE]
    assert positions() == [1, 2, 3, 4]
    registry.zookeeper_store(ZOOKEEPER).close()
