"""Counters of every store are observed and judged: what each of them has of its own, too."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator

import pytest
from django.db import connections, transaction
from pytest_django import Settings

from coordination import counter, registry
from coordination.connections.zookeeper_requests import Delete
from coordination.counters.foreign import CellName
from coordination.counters.pruning import Pruner
from coordination.counters.recording import CounterProjection
from coordination.counters.records import CounterRecord
from coordination.counters.stores.sources import event_sources, state_readers, unseen
from coordination.counters.types import Reading
from coordination.observing.journal import Journal
from coordination.observing.rebuild import rebuild
from coordination.observing.records import Intervention, Violation
from coordination.observing.tables import Event
from tests.counter_stores import (
    _django_db_helper,
    database_counters,
    redis_counters,
    sqlite_counters,
    zookeeper_counters,
)
from tests.integration.counter_observing import (
    an_importer,
    an_observer,
    audit,
    comparing,
    drain,
    events,
    judged,
    observe,
    only,
    record,
    records,
    run_sql,
)

__all__ = [
    "_django_db_helper",
    "database_counters",
    "redis_counters",
    "sqlite_counters",
    "zookeeper_counters",
]

pytestmark = pytest.mark.django_db(transaction=True)

STORES = ["redis", "database", "sqlite", "zookeeper"]
RECORDS = (
    *("concord_counter_record", "concord_counter_watch", "concord_verdict"),
    *("concord_violation", "concord_intervention", "concord_event WHERE object = 'counter'"),
)
CURSORS = ("concord_cursor",)


def clear(*tables: str) -> None:
    with connections["default"].cursor() as cursor:
        for table in tables:
            cursor.execute(f"DELETE FROM {table}")


@pytest.fixture(autouse=True)
def _nothing_observed_yet(transactional_db: None) -> Iterator[None]:
    clear(*RECORDS, *CURSORS)
    yield
    clear(*RECORDS, *CURSORS)


def begun(alias: str, settings: Settings) -> str:
    """The store alone, with all that other tests counted there behind us."""
    only(alias, settings)
    judged()
    clear(*RECORDS)
    return alias


@pytest.fixture(params=STORES)
def using(request: pytest.FixtureRequest, settings: Settings) -> str:
    return begun(request.getfixturevalue(f"{request.param}_counters"), settings)


@pytest.fixture
def database(database_counters: str, settings: Settings) -> str:
    return begun(database_counters, settings)


@pytest.fixture
def lite(sqlite_counters: str, settings: Settings) -> str:
    return begun(sqlite_counters, settings)


@pytest.fixture
def zookeeper(zookeeper_counters: str, settings: Settings) -> str:
    return begun(zookeeper_counters, settings)


@pytest.fixture
def name() -> str:
    return f"test:{secrets.token_hex(6)}"


def test_what_is_counted_is_recorded_and_judged_on_every_store(using: str, name: str) -> None:
    stock = counter(name, initial=100, minimum=0, maximum=200)
    stock.add(-2, op_id="order-1")
    stock.add(-2, op_id="order-1")
    assert stock.compare_and_set(98, 50)
    stock.add_many([1, 1, (-5, "order:9")])
    stock.adjust(3, actor="ada", reason="three came back", op_id="mend")
    asking = comparing()
    judged(asking)
    verdict = audit(asking)
    row = record(name, store=using)

    assert (row.value, row.writes, row.changes) == (50, 6, 6)
    assert (row.initial, row.minimum, row.maximum) == (100, 0, 200)
    assert (row.last["op_id"], row.last["actor"]) == ("mend", "ada")
    assert row.last["reason"] == "three came back"
    assert (verdict.state, verdict.reason) == ("HOLDS", "")
    assert verdict.evidence["not_compared"] == ""
    assert verdict.evidence["compared_with_stores"] == 1
    assert [kind for kind, _ in events(name, store=using)] == [
        *("added", "compare_and_set", "added", "added", "added", "added")
    ]
    done = Intervention.objects.get()
    assert (done.actor, done.action, done.name) == ("ada", "adjusted", f"{using} {name}")
    assert counter(name).history(1)[0].actor == "ada"


def test_a_reset_by_hand_is_refused_when_the_value_moved_on(using: str, name: str) -> None:
    stock = counter(name, initial=7)
    stock.add(5)
    assert not stock.reset_from(11, actor="ada", reason="start over again")
    assert stock.reset_from(12, actor="ada", reason="start over again", op_id="again")
    assert stock.reset_from(12, actor="ada", reason="start over again", op_id="again")
    stock.add(1)
    assert judged().state == "HOLDS"
    assert record(name, store=using).value == 8
    assert [each.action for each in Intervention.objects.all()] == ["reset"]


def test_the_states_are_the_stores_own_word(using: str, name: str) -> None:
    counter(name).add(3)
    counter(name).add(4)
    (reader,) = state_readers()
    other = CellName(f"{name}-other")
    assert reader.states([CellName(name), other]) == {CellName(name): Reading(7, 2)}


def test_a_replay_gives_the_same_records(using: str, name: str) -> None:
    counter(name, minimum=0).add_many([1] * 40)
    counter(f"{name}-b", initial=5).add(1)
    observe()
    before = records()
    rebuild(Journal("default"), [CounterProjection()])
    assert records() == before


def test_changes_of_many_at_once_are_all_judged(using: str, name: str) -> None:
    def work(number: int) -> None:
        for _ in range(10):
            counter(f"{name}-{number % 3}").add(1)
        connections.close_all()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    importer, observer = an_importer(), an_observer()
    while any(thread.is_alive() for thread in threads):
        importer.step()
        observer.step()
    for thread in threads:
        thread.join()
    verdict = judged(comparing())

    assert (verdict.state, verdict.checked) == ("HOLDS", 60)
    assert [row.value for row in CounterRecord.objects.all()] == [20, 20, 20]
    assert not CounterRecord.objects.filter(gap=True).exists()


def test_a_counter_in_several_rows_is_shown_as_one(database: str, name: str) -> None:
    hot = counter(name, initial=1_000, shards=4)
    hot.add_many([(1, f"op-{number}") for number in range(40)])
    observe()
    lead = record(name, store=database)

    assert CounterRecord.objects.filter(counter=lead.key).count() > 2
    assert (lead.value, lead.shards, lead.changes) == (1_040, 4, 40)
    assert lead.rows == CounterRecord.objects.filter(counter=lead.key).count()
    assert sum(changes for _, changes in lead.rates) == 40
    assert lead.edition == 40

    hot.adjust(-40, actor="ada", reason="those were no visits")
    assert judged(comparing()).state == "HOLDS"
    assert record(name, store=database).value == 1_000 == hot.get()
    hot.reset_from(None, actor="ada", reason="begin the new year")
    hot.add(1)
    judged(comparing())
    assert record(name, store=database).value == 1_001 == hot.get()
    assert [each.action for each in Intervention.objects.order_by("at")] == ["adjusted", "reset"]


def test_what_is_rolled_back_is_not_recorded(database: str, name: str) -> None:
    stock = counter(name)
    stock.add(1)
    with pytest.raises(RuntimeError), transaction.atomic():
        stock.add(1)
        raise RuntimeError
    with transaction.atomic():
        stock.add(1)
    assert judged(comparing()).checked == 2
    assert record(name, store=database).value == 2


def test_a_row_written_past_concord_in_the_database_is_found(
    database: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordination.counters.comparing.SURE_S", 0.0)
    counter(name).add(3)
    asking = comparing()
    judged(asking)
    run_sql("UPDATE concord_counter SET value = 9 WHERE name = %s", name)
    audit(asking)

    assert audit(asking).state == "VIOLATED"
    assert Violation.objects.get().gid == f"{database} {name}"


def test_a_caller_of_the_release_before_still_counts(database: str, name: str) -> None:
    limits = "{0,-9007199254740991,9007199254740991}"
    call = "SELECT value FROM concord_counter_change(%s, %s, 1, %s, 1000, 0, 'add', %s, 5, "
    call += "NULL, 'op', '+5', 20000)"
    assert run_sql(call, "database test", name, limits, "counter.added") == [(5,)]
    assert judged().state == "HOLDS"
    assert record(name, store=database).value == 5


def _age_events() -> None:
    run_sql("UPDATE concord_event SET at = at - interval '8 days' WHERE object = 'counter'")


def _round(pruner: Pruner) -> None:
    while pruner.step():
        pass


def test_old_events_are_forgotten_but_the_last_and_those_nobody_judged(using: str) -> None:
    name = f"test:{secrets.token_hex(6)}"
    for _ in range(3):
        counter(name).add(1)
    observe()
    _age_events()
    pruner = Pruner("default", event_sources())
    _round(pruner)
    assert len(events(name, store=using)) == 3

    audit()
    _round(pruner)
    assert len(events(name, store=using)) == 1
    before = record(name, store=using).value
    rebuild(Journal("default"), [CounterProjection()])
    assert record(name, store=using).value == before == 3
    counter(name).add(1)
    assert judged(comparing()).state == "HOLDS"
    assert (record(name, store=using).value, record(name, store=using).gap) == (4, False)


def test_young_events_are_kept(database: str, name: str) -> None:
    for _ in range(3):
        counter(name).add(1)
    judged()
    _round(Pruner("default", event_sources()))
    assert len(events(name, store=database)) == 3


def test_the_file_forgets_what_is_old_and_imported_alone(lite: str, name: str) -> None:
    def left() -> int:
        with connections[lite].cursor() as cursor:
            cursor.execute("SELECT count(*) FROM concord_counter_event")
            return int(cursor.fetchone()[0])

    for _ in range(3):
        counter(name).add(1)
    with connections[lite].cursor() as cursor:
        cursor.execute("UPDATE concord_counter_event SET at_us = at_us - 8 * 86400000000")
    pruner = Pruner("default", event_sources())
    _round(pruner)
    assert left() == 3

    judged()
    counter(name).add(1)
    _round(pruner)
    # The last one imported tells that nothing is missing behind it.
    assert left() == 2
    assert judged().state == "HOLDS"
    assert record(name, store=lite).value == 4


def test_events_that_zookeeper_keeps_no_more_are_a_gap(
    zookeeper: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordination.counters.stores.zookeeper_events.BATCH", 2)
    stock, other = counter(name), counter(f"{name}-b")
    stock.add(1)
    observe()
    for _ in range(5):
        stock.add(1)
    other.add(1)
    top = f"{registry.zookeeper_store(zookeeper).root}/concord/counters"
    gone = Delete(f"{top}/{name}/e/3")
    registry.zookeeper_store(zookeeper).ask(_commit(gone), deadline_ms=5_000)
    verdict = judged()

    assert verdict.state == "UNPROVEN"
    assert verdict.evidence["gaps"] == 1
    assert (record(name, store=zookeeper).value, record(name, store=zookeeper).gap) == (6, False)
    assert record(f"{name}-b", store=zookeeper).value == 1


def _commit(*steps: Delete) -> object:
    from coordination.connections.zookeeper_requests import Commit

    return Commit(steps)


def test_a_database_that_nobody_reads_is_named(settings: Settings) -> None:
    settings.COORDINATION = {
        "NODE": "test",
        "STORES": {
            "here": {"BACKEND": "database", "USING": "default"},
            "there": {"BACKEND": "database", "USING": "bank_a"},
        },
        "DEFAULT": "here",
    }
    assert unseen() == ["there"]


def test_the_events_are_in_the_feed_of_all(database: str, name: str) -> None:
    counter(name).add(1)
    drain(an_observer().step)
    event = Event.objects.get(name=f"{database} {name}")
    assert (event.object, event.version, event.seq is not None) == ("counter", 1, True)
