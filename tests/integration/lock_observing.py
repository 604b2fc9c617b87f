"""What happens to locks, observed: importers, observers and auditors of a test's own Redis."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from pytest_django import Settings

from coordination import lock
from coordination.connections import database
from coordination.connections.database import Statement
from coordination.locks.auditor import LockAuditor
from coordination.locks.importing import Importer
from coordination.locks.recording import LockProjection
from coordination.locks.records import LockGrant, LockRecord
from coordination.locks.stores.sources import event_sources
from coordination.observing.fences import Fenced
from coordination.observing.journal import Journal
from coordination.observing.observer import Observer
from coordination.observing.records import Verdict
from coordination.observing.tables import Event
from tests.integration.own_redis import OwnRedis


@pytest.fixture
def own(own_redis: OwnRedis, settings: Settings) -> OwnRedis:
    """A Redis of this test's own as the store of locks: database 1, as the project has it."""
    own_redis.url = own_redis.url.removesuffix("/0") + "/1"
    settings.COORDINATION = {
        "NODE": "test",
        "FAILPOINTS": True,
        "STORES": {
            "redis": {
                "BACKEND": "redis",
                "LOCATION": own_redis.url,
                "OPTIONS": {"DEADLINE": 0.5},
            }
        },
    }
    return own_redis


def an_importer() -> Importer:
    return Importer("default", event_sources())


def an_observer() -> Observer:
    return Observer(Journal("default"), [LockProjection()], None)


def an_auditor() -> LockAuditor:
    return LockAuditor("default", stores=["redis"])


def drain(step: Callable[[], int]) -> int:
    """Step until nothing is left; returns the sum."""
    total = 0
    while True:
        with suppress(Fenced):
            done = step()
            total += done
            if done == 0:
                return total


def observe() -> int:
    """Import and fold what there is; returns how many events were folded."""
    importer, observer = an_importer(), an_observer()
    total = 0
    while drain(importer.step) + (folded := drain(observer.step)):
        total += folded
    return total


def audit() -> Verdict:
    drain(an_auditor().step)
    return Verdict.objects.get(name="mutual_exclusion")


def record(name: str, *, kind: str = "lock") -> LockRecord:
    return LockRecord.objects.get(kind=kind, name=name)


def kinds(name: str) -> list[str]:
    """What befell a lock, in the order of its versions."""
    events = Event.objects.filter(object="lock", name=f"redis lock {name}").order_by("version")
    found = list(events.values_list("version", "kind"))
    first = found[0][0] if found else 1
    assert [version for version, _ in found] == list(range(first, first + len(found)))
    return [kind.removeprefix("lock.") for _, kind in found]


def records() -> list[dict[str, Any]]:
    return list(LockRecord.objects.order_by("key").values())


def grants() -> list[dict[str, Any]]:
    rows = LockGrant.objects.order_by("key", "token").values()
    return [{name: value for name, value in row.items() if name != "id"} for row in rows]


def run_sql(sql: str, *values: Any) -> list[tuple[Any, ...]]:
    return database.run("default", Statement(sql, values))[0].rows


def use(name: str, times: int = 1, **options: Any) -> None:
    """Take it and give it back."""
    for _ in range(times):
        with lock(name, **options):
            pass
