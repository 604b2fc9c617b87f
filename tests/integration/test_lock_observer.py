"""Events of locks, folded into records, grants and what else they tell."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from coordination import lock, semaphore
from coordination.locks.looking import Lookout
from coordination.locks.record import Holder
from coordination.locks.recording import LockProjection
from coordination.locks.records import LockDeadlock, LockGrant, LockRecord, LockRefusal
from coordination.locks.stores import lock_store
from coordination.observing.journal import Journal
from coordination.observing.rebuild import rebuild
from coordination.observing.records import Intervention, Verdict
from coordination.observing.tables import Event
from tests.contract.locks.asking import asked, have, held, pass_time, until
from tests.integration.lock_observing import (
    an_importer,
    an_observer,
    drain,
    grants,
    kinds,
    observe,
    own,
    record,
    records,
    run_sql,
    use,
)
from tests.integration.own_redis import OwnRedis, own_redis

__all__ = ["own", "own_redis"]

pytestmark = pytest.mark.django_db(transaction=True)

HOLDER = {column.name for column in fields(Holder)}


def test_a_lock_becomes_a_record_with_its_grants(own: OwnRedis) -> None:
    first = held(lock("a", owner="first", metadata={"why": "invoice"}).acquire())
    waiter = asked("a")
    lock_store("redis").acquire(waiter, stay_ms=5_000)
    observe()

    row = record("a")
    assert (row.key, row.store, row.holding, row.waiting) == ("redis lock a", "redis", 1, 1)
    assert (row.owner, row.token, row.until) == ("first", first.token, first.expires_at)
    (holder,) = row.holders
    assert holder.keys() == HOLDER
    assert (holder["state"], holder["waited_ms"]) == ("held", 0)
    assert (holder["node"], holder["metadata"]) == ("test", {"why": "invoice"})
    assert [each["owner"] for each in row.waiters] == [waiter.owner]
    assert row.waiting_since is not None

    first.renew()
    first.release()
    observe()
    row = record("a")
    assert [(each["state"], each["owner"]) for each in row.holders] == [("handed", waiter.owner)]
    assert LockGrant.objects.count() == 1

    have(lock_store("redis").acquire(waiter, stay_ms=5_000))
    lock_store("redis").release(waiter)
    observe()
    row = record("a")
    begun, handed = LockGrant.objects.order_by("token")
    assert (row.holding, row.waiting, row.owner, row.until) == (0, 0, "", None)
    assert (row.last_end, row.gap, row.hold_ms_p95 is not None) == ("released", False, True)
    assert (begun.owner, begun.renewals, begun.ended) == ("first", 1, "released")
    assert handed.asked_at is not None
    assert begun.granted_at < handed.asked_at <= handed.granted_at < handed.ended_at
    assert row.token == handed.token > begun.token
    expected = "granted waiting renewed released handed granted released"
    assert kinds("a") == expected.split()


def beside_records() -> tuple[list[dict[str, Any]], ...]:
    interventions = Intervention.objects.order_by("event_id").values()
    return list(interventions), list(LockRefusal.objects.values("key", "token"))


def test_records_rebuilt_from_events_are_the_same(own: OwnRedis) -> None:
    use("a", 5)
    keeper = held(lock("b", owner="keeper", renew=False).acquire())
    keeper.renew()
    lock_store("redis").acquire(asked("b"), stay_ms=60_000)
    held(lock("c", renew=False).acquire())
    lock.force_release("c", actor="m.keller", reason="stuck since noon")
    lock.request_revoke("b", actor="m.keller", reason="maintenance")
    late = held(lock("d", owner="late", renew=False).acquire())
    lock.force_release("d", actor="m.keller", reason="stuck as well")
    lock_store("redis").release(late.request)
    observe()
    told = beside_records()
    before = (records(), grants(), told)
    LockRecord.objects.filter(name="a").update(owner="nonsense")
    folded = rebuild(Journal("default"), [LockProjection()])
    told = beside_records()

    assert folded == Event.objects.filter(object="lock").count()
    assert before == (records(), grants(), told)


def test_what_an_operator_did_is_recorded_once_for_all_holders(own: OwnRedis) -> None:
    permits = [held(semaphore("s", permits=3).acquire()) for _ in range(2)]
    lock.request_revoke("s", kind="semaphore", actor="m.keller", reason="soon", grace=60)
    observe()
    row = record("s", kind="semaphore")
    assert (row.holding, [each["limit"] for each in row.holders]) == (2, [3, 3])
    assert {each["revoke_reason"] for each in row.holders} == {"soon"}

    lock.force_release("s", kind="semaphore", actor="m.keller", reason="now")
    observe()

    found = Intervention.objects.order_by("at").values_list("action", "actor", "name", "reason")
    name = "redis semaphore s"
    assert list(found) == [
        ("request_revoke", "m.keller", name, "soon"),
        ("force_release", "m.keller", name, "now"),
    ]
    forced = LockGrant.objects.filter(ended="forced", actor="m.keller", reason="now")
    assert {grant.token for grant in forced} == {each.token for each in permits}


def test_a_refused_release_is_recorded_with_the_token_it_came_with(own: OwnRedis) -> None:
    late = held(lock("a", owner="late", renew=False).acquire())
    lock.force_release("a", actor="operator", reason="stuck")
    newer = held(lock("a", renew=False).acquire())
    lock_store("redis").release(late.request)
    observe()

    refusal = LockRefusal.objects.get()
    assert (refusal.what, refusal.owner) == ("release", "late")
    assert (refusal.token, refusal.newer) == (late.token, newer.token)
    assert record("a").token == newer.token


def test_a_cycle_of_waits_is_recorded_with_its_victim(own: OwnRedis) -> None:
    holder, waiter = held(lock("a", renew=False).acquire()), asked("a")
    lock_store("redis").acquire(waiter, stay_ms=60_000)
    cycle = [{"context": "test", "owner": "x", "waits_for": "a", "held_by": "y", "since": "now"}]
    lock_store("redis").release(waiter, said={"deadlock": {"cycle": cycle}})
    observe()

    found = LockDeadlock.objects.get()
    assert (found.victim, found.rule, found.cycle) == ("test", "youngest", cycle)
    assert (record("a").waiting, record("a").holding) == (0, 1)
    holder.release()


def test_a_lease_that_ran_out_unsaid_is_told_of(own: OwnRedis) -> None:
    held(lock("a", ttl=0.05, renew=False).acquire())
    request = asked("a")
    observe()
    importer = an_importer()
    lookout = Lookout("default", importer)
    pass_time(0.1)
    run_sql("UPDATE concord_lock_record SET until = until - interval '5 s'")
    lookout.look()
    observe()

    assert kinds("a") == ["granted", "expired"]
    assert (record("a").last_end, record("a").holding) == ("expired", 0)
    assert LockGrant.objects.get().ended == "expired"
    assert request.name == "a"


def test_what_the_store_itself_forgot_is_told_anew(own: OwnRedis) -> None:
    held(lock("a", ttl=0.05, renew=False).acquire())
    observe()
    (key,) = own.client().keys("*:held:lock:a")
    own.client().delete(key)
    importer = an_importer()
    run_sql("UPDATE concord_lock_record SET until = until - interval '1 min'")
    pass_time(0.1)
    Lookout("default", importer).look()
    drain(importer.step)
    drain(an_observer().step)

    assert kinds("a") == ["granted", "resynced"]
    assert (record("a").last_end, record("a").holding) == ("expired", 0)


def test_a_record_that_does_not_know_its_holder_is_told_anew(own: OwnRedis) -> None:
    keeper = held(lock("a", owner="keeper", renew=False).acquire())
    drain(an_importer().step)
    Event.objects.all().delete()
    keeper.renew()
    observe()
    assert (record("a").gap, record("a").holding) == (True, 0)

    importer = an_importer()
    Lookout("default", importer).look()
    drain(importer.step)
    drain(an_observer().step)
    assert (record("a").gap, record("a").owner) == (False, "keeper")


def test_only_the_record_of_a_resource_says_what_its_last_grants_took(own: OwnRedis) -> None:
    use("a", 60)
    observe()
    row = record("a")
    assert len(row.held_ms) == 50
    assert row.hold_ms_p95 == sorted(row.held_ms)[47]


def test_the_process_keeps_records_and_verdict_by_itself(
    own: OwnRedis, process_environment: dict[str, str]
) -> None:
    process = subprocess.Popen(
        [sys.executable, "manage.py", "concord", "observe"],
        env=process_environment | {"REDIS_URL": own.url.removesuffix("/1") + "/0"},
        cwd=Path(__file__).parents[2],
    )
    try:
        held(lock("a", ttl=0.05, renew=False).acquire())
        use("b")
        verdict = Verdict.objects.filter(name="mutual_exclusion", state="HOLDS", checked=2)
        until(verdict.exists, within_s=30)
        until(LockRecord.objects.filter(name="a", last_end="expired").exists, within_s=10)
    finally:
        process.terminate()
    assert process.wait(20) == 0
