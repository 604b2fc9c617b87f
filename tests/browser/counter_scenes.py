"""Moments of counters in every state, for pictures and for whoever looks at every page."""

from datetime import UTC, datetime, timedelta

from coordination import counter
from coordination.observing.records import Verdict
from tests.integration.dashboard_counters import (
    STORE,
    count,
    holds,
    lift,
    observe,
    record,
    violate,
    waves,
)
from tests.integration.dashboard_stories import many
from tests.integration.dashboard_stories import observe as observe_transactions


def every_state() -> None:
    """Counters of every kind in every state, and promises that hold."""
    observe_transactions(*many(20))
    holds()
    Verdict.objects.update_or_create(
        name="atomicity",
        defaults={
            "state": "HOLDS",
            "checked": 20,
            "checked_at": datetime.now(UTC),
            "window_start": datetime.now(UTC) - timedelta(hours=3),
            "period_s": 60.0,
        },
    )
    record("visits:home", 48_211_904, rates=waves(900), shards=8, amount=12)
    record("api:calls", 1_204_558, rates=waves(400, phase=9), amount=1)
    record("mails:sent", 88_190, rates=waves(40, phase=4), ago_s=4)
    record("seats:LH441", 0, minimum=0, maximum=180, rates=waves(2), amount=-1, ago_s=31)
    record("tickets:issued", 5_000, maximum=5_000, ago_s=1_900)
    record("licences:cad", 37, store="zookeeper", minimum=0, maximum=40, ago_s=95)
    record("invoice:number", 20_261_123, store="zookeeper", ago_s=12, rates=waves(3))
    record("balance:drift", -1_250, ago_s=7_400, amount=-1_250)
    record("import:rows", 118_000, gap=True, ago_s=140, rates=waves(20)[:40])
    for number in range(1, 13):
        record(f"stock:{number}", 100 - 7 * number, minimum=0, ago_s=number * 41, amount=-2)
    violate("redis stock:7", "version 41 began at 88, but version 40 had left 51: +37 past Concord")


def a_story() -> None:
    """One counter with a past: added to, set, compared, mended by hand, at once by many."""
    stock = counter("stock:A-7", initial=100, minimum=0, maximum=500, using=STORE)
    stock.add(-2, op_id="order-88190")
    stock.add(-1, op_id="order-88191")
    stock.set(120, op_id="delivery-2026-11-23")
    stock.compare_and_set(120, 118, op_id="inventory-4")
    for number in range(12):
        stock.add(-1 - number % 3, op_id=f"order-{88_192 + number}")
    stock.adjust(3, actor="cora", reason="three came back unopened, OPS-3391", op_id="mend-1")
    stock.add(-1, op_id="order-88210")
    observe()
    lift("stock:A-7", 14)


def in_rows() -> None:
    """A hot counter in several rows of a table."""
    hot = counter("visits:shop", initial=1_000, shards=4, using=STORE)
    hot.add_many([(1 + number % 3, f"visit-{number}") for number in range(30)])
    observe()
    lift("visits:shop", 60)


def at_its_bound() -> None:
    """Nothing can be taken away any more."""
    count("seats:A-1", -3, initial=3, minimum=0)
