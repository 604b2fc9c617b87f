"""Counters for pages: real ones in the database store, observed, and records of any other kind."""

import math
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import F

from coordination import conf, counter, registry
from coordination.counters.auditor import VERDICT
from coordination.counters.recording import CounterProjection
from coordination.counters.records import CounterRecord
from coordination.observing.feed import Feed
from coordination.observing.fences import Fenced
from coordination.observing.journal import Journal
from coordination.observing.observer import Observer
from coordination.observing.records import Verdict, Violation
from coordination.transactions.recording import TransactionProjection
from tests.integration.dashboard_web import make_user

STORE = "database"
OPERATOR = ("resolve_transaction", "change_counterrecord", "delete_counterrecord")


def counter_operator(name: str = "cora") -> Any:
    """Somebody who may adjust and reset counters."""
    return make_user(name, "view_transactionrecord", *OPERATOR, "view_counterrecord", is_staff=True)


def observe() -> None:
    """Fold what was counted in the database store, and tell the feed."""
    mailbox = conf.current().transactions.mailbox
    assert mailbox is not None
    feed = Feed(registry.redis_store(mailbox), conf.current().node)
    observer = Observer(Journal("default"), [TransactionProjection(), CounterProjection()], feed)
    while True:
        with suppress(Fenced):
            if observer.step() == 0:
                break
    observer.stand_by()


def count(name: str, *amounts: int, **options: Any) -> int:
    """Add each of the amounts to a real counter, observed; returns the value."""
    found = counter(name, using=STORE, **options)
    value = 0
    for amount in amounts:
        value = found.add(amount)
    observe()
    return value


def waves(height: int, *, phase: int = 0) -> list[list[int]]:
    """Rates of the last five minutes that rise and fall."""
    end = int(time.time()) // 5 * 5
    return [
        [end - (59 - i) * 5, max(0, round(height * (1 + math.sin((i + phase) / 6)) / 2))]
        for i in range(60)
    ]


def record(name: str, value: int, *, store: str = "redis", **fields: Any) -> CounterRecord:
    """A saved record of a store that these tests have not; `ago_s` says when it changed."""
    at = datetime.now(UTC) - timedelta(seconds=fields.pop("ago_s", 2.0))
    amount = fields.pop("amount", 1)
    last = {
        "kind": "counter.added",
        "op_id": f"order-{len(name)}{abs(value)}",
        "before": value - amount,
        "after": value,
        "node": "orders-web-2",
        "actor": "",
        "reason": "",
        "count": 1,
    }
    values: dict[str, Any] = {
        "key": f"{store} {name}",
        "counter": f"{store} {name}",
        "store": store,
        "name": name,
        "shard": 0,
        "feed_seq": 0,
        "version": 40,
        "edition": 40,
        "writes": 40,
        "value": value,
        "changes": 40,
        "changed_at": at,
        "last": last,
        "rates": [],
        "rows": 1,
        "initial": 0,
        "minimum": None,
        "maximum": None,
        "shards": 1,
        "disputed": "",
        "gap": False,
        "era": 0,
        "cell": {},
    }
    return CounterRecord.objects.create(**values | fields)


def holds(checked: int = 48_211) -> None:
    """The verdict of counter histories, checked just now."""
    Verdict.objects.update_or_create(
        name=VERDICT,
        defaults={
            "state": "HOLDS",
            "checked": checked,
            "checked_at": datetime.now(UTC),
            "window_start": datetime.now(UTC) - timedelta(hours=3),
            "period_s": 60.0,
            "evidence": {"changes": checked, "op_ids": checked, "gaps": 0, "by_hand": 3},
        },
    )


def violate(key: str, sentence: str) -> Violation:
    """A broken rule as the auditor records it."""
    evidence = {
        "left": {"value": 51, "version": 40},
        "began": {"value": 88, "version": 41},
        "id": "order-553",
    }
    CounterRecord.objects.filter(key=key).update(disputed=sentence)
    Verdict.objects.filter(name=VERDICT).update(state="VIOLATED", violations=1)
    return Violation.objects.create(
        verdict=VERDICT,
        gid=key,
        branch_seq=1,
        kind="chain_broken",
        sentence=sentence,
        evidence=evidence,
    )


def lift(name: str, height: int) -> None:
    """Let a real counter have been busy for five minutes."""
    CounterRecord.objects.filter(name=name, shard=0).update(
        rates=waves(height), changes=F("changes")
    )
