"""The verdict of counter histories: green on evidence alone, red on any planted mistake."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connections

from coordination import counter
from coordination.counters.judging import ViolationKind
from coordination.counters.recording import CounterProjection
from coordination.counters.records import CounterWatch
from coordination.counters.stores.redis import shard_of, shard_prefix
from coordination.observing.fences import Fenced
from coordination.observing.journal import Journal
from coordination.observing.rebuild import rebuild
from coordination.observing.records import Verdict, Violation
from coordination.observing.tables import Cursor
from coordination.observing.verdicts import acknowledge
from tests.integration.counter_observing import (
    an_auditor,
    an_importer,
    an_observer,
    audit,
    comparing,
    count,
    drain,
    judged,
    observe,
    own,
    record,
    run_sql,
)
from tests.integration.own_redis import OwnRedis, own_redis

__all__ = ["own", "own_redis"]

pytestmark = pytest.mark.django_db(transaction=True)


def age(what: str, by: str) -> None:
    """Let what the verdict says of a time be of a time before."""
    run_sql(
        "UPDATE concord_verdict SET evidence = evidence || jsonb_build_object("
        "%s::text, to_jsonb(clock_timestamp() - %s::interval))",
        what,
        by,
    )


@pytest.fixture
def sure_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a store says twice is believed, however little time passed between."""
    monkeypatch.setattr("coordination.counters.comparing.SURE_S", 0.0)
    monkeypatch.setattr("coordination.counters.comparing.SURE_AHEAD_S", 0.0)


def value_key(name: str) -> str:
    return f"{shard_prefix(shard_of(name))}value:{name}"


def test_it_holds_on_evidence(own: OwnRedis) -> None:
    stock = counter("stock", initial=10, minimum=0)
    stock.add(-3, op_id="one")
    stock.add(-3, op_id="one")
    assert stock.compare_and_set(7, 5)
    assert not stock.compare_and_set(7, 6)
    stock.reset()
    count("a", *[1] * 50)
    stock.adjust(2, actor="ada", reason="two came back")
    asking = comparing()
    first, second = judged(asking), audit(asking)

    assert (first.state, first.reason, first.checked) == ("HOLDS", "", 54)
    assert (first.evidence["changes"], first.evidence["op_ids"]) == (54, 54)
    assert (first.evidence["by_hand"], first.evidence["gaps"]) == (1, 0)
    assert second.checked == 54
    assert second.evidence["compared_with_stores"] >= 2
    assert second.checked_at > first.checked_at
    watch = CounterWatch.objects.get(key="redis stock").state
    assert (watch["base"], watch["sum"], watch["value"], watch["writes"]) == (10, 2, 12, 4)


def test_without_a_change_nothing_is_proven(own: OwnRedis) -> None:
    verdict = judged()
    assert (verdict.state, verdict.reason) == ("UNPROVEN", "nothing has been counted yet")


def test_what_was_counted_long_ago_proves_nothing(own: OwnRedis) -> None:
    count("a", 1)
    judged()
    age("last_change_at", "2 hours")
    verdict = audit()

    assert verdict.state == "UNPROVEN"
    assert verdict.reason.startswith("nothing was counted since")


def test_a_store_that_is_not_read_leaves_it_unproven(own: OwnRedis) -> None:
    count("a", 1)
    judged()
    seen = "UPDATE concord_cursor SET updated_at = updated_at - interval '9 s' WHERE name = %s"
    run_sql(seen, "counter:redis")
    verdict = audit()

    assert verdict.state == "UNPROVEN"
    assert verdict.reason.startswith("redis was last read ")
    assert judged().state == "HOLDS"


def test_it_is_checking_while_events_wait(own: OwnRedis) -> None:
    count("a", 1)
    judged()
    count("a", 1)
    drain(an_importer().step)
    run_sql("UPDATE concord_event SET at = at - interval '6 s' WHERE seq IS NULL")

    assert audit().state == "CHECKING"
    assert judged().state == "HOLDS"


def test_lost_events_leave_it_unproven_for_a_while(own: OwnRedis) -> None:
    count("a", 1)
    judged()
    own.client().flushdb()
    importer = an_importer()
    importer.step()
    during = audit()
    count("a", 1)
    drain(importer.step)
    after = judged()
    age("last_gap_at", "2 min")

    assert (during.state, during.reason) == (
        "UNPROVEN",
        "redis lost events, and is being told anew",
    )
    assert after.state == "UNPROVEN"
    assert after.reason.startswith("events were lost until")
    assert audit(comparing()).state == "HOLDS"
    assert not Violation.objects.exists()


def test_what_a_store_lost_it_may_count_again(own: OwnRedis) -> None:
    ids = [(1, f"op-{number}") for number in range(50)]
    importer, observer = an_importer(), an_observer()
    for _ in range(2):
        counter("a").add_many(ids)
        while drain(importer.step) + drain(observer.step):
            pass
        own.client().flushdb()
        drain(importer.step)
    audit()
    assert not Violation.objects.exists()
    assert Verdict.objects.get(name="counter_history").evidence["changes"] == 100


def _change_aside(own: OwnRedis) -> None:
    """Somebody sets the key itself, and the next who counts goes on from there."""
    own.client().set(value_key("a"), "40 3")
    count("a", 1)


def _forget_the_answer(own: OwnRedis) -> None:
    """The server evicts what it remembered of a call, and the caller repeats it."""
    counter("a").add(5, op_id="order-1")
    own.client().delete(f"{shard_prefix(shard_of('a'))}answer:a order-1")
    counter("a").add(5, op_id="order-1")


def _forget_the_answer_of_a_run(own: OwnRedis) -> None:
    counter("a").add_many([(1, f"op-{number}") for number in range(100)])
    own.client().delete(f"{shard_prefix(shard_of('a'))}answer:a op-50")
    counter("a").add(1, op_id="op-50")


def _skip_a_version(own: OwnRedis) -> None:
    own.client().set(value_key("a"), "3 5")
    count("a", 1)


def _delete_the_key(own: OwnRedis) -> None:
    own.client().delete(value_key("a"))
    count("a", 1)


@pytest.mark.parametrize(
    ("plant", "kind"),
    [
        (_change_aside, ViolationKind.CHAIN_BROKEN),
        (_forget_the_answer, ViolationKind.DOUBLED),
        (_forget_the_answer_of_a_run, ViolationKind.DOUBLED),
        (_skip_a_version, ViolationKind.VERSION_SKIPPED),
        (_delete_the_key, ViolationKind.VERSION_FELL),
    ],
)
def test_a_planted_violation_turns_it_red_until_it_is_acknowledged(
    own: OwnRedis, plant: Callable[[OwnRedis], None], kind: ViolationKind
) -> None:
    count("a", 1, 1, 1)
    assert judged().state == "HOLDS"
    plant(own)
    red = judged()
    violation = Violation.objects.get()

    assert (red.state, red.violations) == ("VIOLATED", 1)
    assert (violation.kind, violation.gid) == (kind.value, "redis a")
    assert violation.sentence
    assert record("a").disputed == violation.sentence

    count("a", 1)
    assert judged().violations == 1
    acknowledge([violation.pk], actor="ada", reason="the stock was counted by hand")
    green = judged()
    assert (green.state, green.acknowledged) == ("HOLDS", 1)
    assert record("a").disputed == ""


def test_the_sentence_names_the_witness(own: OwnRedis) -> None:
    count("a", 1, 1, 1)
    judged()
    _change_aside(own)
    judged()
    violation = Violation.objects.get()

    assert violation.sentence == (
        "version 4 began at 40, but version 3 had left 3: it was changed by +37 past Concord"
    )
    assert violation.evidence["left"] == {"value": 3, "version": 3}
    assert violation.evidence["began"] == {"value": 40, "version": 4}


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        ("41 3", "its store has 41, but its 3 changes come to 3: it was changed by +38"),
        ("3 9", "its store counts 9 changes, but only 3 were recorded"),
        (None, "its store knows of 0 changes, but 3 were recorded"),
        ("rubbish", "its store knows of -1 changes, but 3 were recorded"),
    ],
)
def test_a_value_that_was_changed_behind_our_back_is_found_though_nobody_counts(
    own: OwnRedis, sure_at_once: None, stored: str | None, told: str
) -> None:
    count("a", 1, 1, 1)
    asking = comparing()
    assert judged(asking).state == "HOLDS"
    if stored is None:
        own.client().delete(value_key("a"))
    else:
        own.client().set(value_key("a"), stored)
    suspected = audit(asking)
    found = audit(asking)

    assert suspected.state == "HOLDS"
    assert (found.state, found.violations) == ("VIOLATED", 1)
    violation = Violation.objects.get()
    assert violation.kind == ViolationKind.STRAYED
    assert violation.sentence.startswith(told)
    assert record("a").disputed
    assert audit(asking).violations == 1


def test_what_is_still_on_its_way_is_no_violation(own: OwnRedis, sure_at_once: None) -> None:
    count("a", 1)
    asking = comparing()
    judged(asking)
    for _ in range(3):
        count("a", 1)
        audit(asking)
    assert judged(asking).state == "HOLDS"
    assert not Violation.objects.exists()


def test_a_store_that_does_not_answer_is_named_and_accuses_nobody(
    own: OwnRedis, sure_at_once: None
) -> None:
    count("a", 1)
    judged()
    asking = comparing()
    own.freeze()
    verdict = audit(asking)
    own.thaw()

    assert verdict.evidence["not_compared"] == "redis"
    assert not Violation.objects.exists()


def test_auditors_at_once_judge_each_change_once(own: OwnRedis) -> None:
    count("a", *[1] * 60)
    observe()
    start = threading.Barrier(3)
    failures: list[BaseException] = []

    def work() -> None:
        auditor = an_auditor()
        start.wait()
        try:
            auditor.step()
        except Fenced:
            pass
        except BaseException as error:  # noqa: BLE001
            failures.append(error)
        connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failures
    assert audit().checked == 60
    assert Verdict.objects.get(name="counter_history").evidence["changes"] == 60


def test_a_rebuild_judges_nothing_again_and_forgets_no_dispute(own: OwnRedis) -> None:
    count("a", 1, 1, 1)
    _change_aside(own)
    judged()
    before = record("a")
    rebuild(Journal("default"), [CounterProjection()])
    after = judged()

    assert after.violations == 1
    assert (after.checked, after.evidence["changes"]) == (4, 4)
    assert record("a").disputed == before.disputed
    assert Cursor.objects.filter(name="counter-audit").exists()


def test_verify_judges_the_whole_history_again(own: OwnRedis) -> None:
    count("a", 1, 1, 1)
    judged()
    _change_aside(own)
    _forget_the_answer(own)
    judged()
    said = StringIO()
    with pytest.raises(SystemExit) as ended, redirect_stdout(said):
        call_command("concord", "verify", "--json")
    counters = json.loads(said.getvalue())["counters"]

    assert ended.value.code == 1
    assert counters["changes"] == 6
    assert [each["kind"] for each in counters["findings"]] == ["chain_broken", "op_doubled"]
