"""What happens to counters, observed: importers, observers and auditors of a test's own Redis."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings

from coordination import counter
from coordination.counters.auditor import CounterAuditor
from coordination.counters.comparing import Comparing
from coordination.counters.importing import Importer
from coordination.counters.recording import CounterProjection
from coordination.counters.records import CounterRecord
from coordination.counters.stores.sources import event_sources, state_readers
from coordination.observing.journal import Journal
from coordination.observing.observer import Observer
from coordination.observing.records import Verdict
from coordination.observing.tables import Event
from tests.integration.lock_observing import drain, run_sql
from tests.integration.own_redis import OwnRedis

__all__ = ["drain", "run_sql"]


@pytest.fixture
def own(own_redis: OwnRedis, settings: Settings) -> OwnRedis:
    """A Redis of this test's own as the store of counters: database 1, as the project has it."""
    own_redis.url = own_redis.url.removesuffix("/0") + "/1"
    settings.COORDINATION = {
        "NODE": "test",
        "FAILPOINTS": True,
        "STORES": {
            "redis": {
                "BACKEND": "redis",
                "LOCATION": own_redis.url,
                "OPTIONS": {"DEADLINE": 0.5},
            },
            "database": {"BACKEND": "database", "USING": "default"},
        },
        "DEFAULT": "redis",
    }
    return own_redis


def only(alias: str, settings: Settings) -> None:
    """Let the test's project have this store alone."""
    stores = django_settings.COORDINATION["STORES"]
    settings.COORDINATION = {"NODE": "test", "STORES": {alias: stores[alias]}, "DEFAULT": alias}


def an_importer() -> Importer:
    return Importer("default", event_sources())


def an_observer() -> Observer:
    return Observer(Journal("default"), [CounterProjection()], None)


def comparing() -> Comparing:
    """It asks the stores with every pass."""
    return Comparing("default", state_readers(), every_s=0)


def an_auditor(asking: Comparing | None = None) -> CounterAuditor:
    aliases = [source.alias for source in event_sources()]
    return CounterAuditor("default", stores=aliases, comparing=asking)


def observe() -> int:
    """Import and fold what there is; returns how many events were folded."""
    importer, observer = an_importer(), an_observer()
    total = 0
    while drain(importer.step) + (folded := drain(observer.step)):
        total += folded
    return total


def audit(asking: Comparing | None = None) -> Verdict:
    drain(an_auditor(asking).step)
    return Verdict.objects.get(name="counter_history")


def judged(asking: Comparing | None = None) -> Verdict:
    observe()
    return audit(asking)


def record(name: str, *, store: str = "redis", shard: int = 0) -> CounterRecord:
    return CounterRecord.objects.get(store=store, name=name, shard=shard)


def events(name: str, *, store: str = "redis") -> list[tuple[str, dict[str, Any]]]:
    """Kind and data of what befell a counter, in the order of its versions."""
    found = Event.objects.filter(object="counter", name=f"{store} {name}").order_by("version")
    rows = list(found.values_list("version", "kind", "data"))
    first = rows[0][0] if rows else 1
    assert [version for version, _, _ in rows] == list(range(first, first + len(rows)))
    return [(kind.removeprefix("counter."), data) for _, kind, data in rows]


def covered(name: str, *, store: str = "redis") -> list[int]:
    """The versions, by the store's count, that the events of a counter stand for."""
    return [
        version
        for kind, data in events(name, store=store)
        if kind != "resynced"
        for version in range(data.get("first", data["v"]), data["v"] + 1)
    ]


def records() -> list[dict[str, Any]]:
    return list(CounterRecord.objects.order_by("key").values())


def count(name: str, *amounts: int, **options: Any) -> int:
    """Add each of the amounts; returns the last value."""
    value = 0
    for amount in amounts:
        value = counter(name, **options).add(amount)
    return value
