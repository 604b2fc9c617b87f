"""Moments of locks in every state, for pictures and for whoever looks at every page."""

from datetime import timedelta

from coordination.locks.records import LockDeadlock, LockRecord, LockRefusal
from coordination.observing.records import Verdict
from tests.integration.dashboard_locks import Teller, grant, held, now, queued, record
from tests.integration.dashboard_stories import many, observe

BASE = 1_795_435_000_000_000


def simple(
    name: str, owner: str, *, left_s: float, waiting: int = 0, **fields: object
) -> LockRecord:
    """A held lock and so many who wait for it."""
    names = ("payouts-2", "orders-web-1", "orders-web-4", "batch-2")
    waiters = [queued(names[i % 4], ago_s=waiting - i + 0.4) for i in range(waiting)]
    holder = held(owner, BASE + len(name) * 1_812_207, ago_s=30 - left_s, left_s=left_s)
    return record(name, holders=[holder], waiters=waiters, **fields)


def shared(name: str, count: int, **fields: object) -> LockRecord:
    mode, limit = fields.pop("mode", "shared"), fields.pop("limit", 1)
    holders = [
        held(
            f"billing-{i + 1}",
            BASE + 120_554 + i,
            mode=mode,
            limit=limit,
            ago_s=2 + i,
            left_s=28 - i,
        )
        for i in range(count)
    ]
    return record(name, holders=holders, **fields)


def with_queues() -> list[LockRecord]:
    """Locks that somebody waits for, one of each state."""
    eu = "orders-web-3 and orders-web-5 held it at once for 1.840 s"
    sql: dict[str, object] = {"store": "database", "hold_ms_p95": 1_080_000}
    callers = [queued(f"web-{i}", mode="permit", limit=5) for i in (1, 2)]
    workers = [queued(f"worker-{i}", mode="party", limit=4) for i in (1, 4)]
    return [
        simple("ledger:eu-7", "orders-web-5", left_s=12.3, waiting=4, disputed=eu, hold_ms_p95=61),
        simple("stock:7", "payouts-1", left_s=22.1, waiting=9, hold_ms_p95=112),
        simple("seat:LH441:22C", "travel-3", left_s=18, waiting=6, hold_ms_p95=2_100),
        simple("ledger:us-2", "orders-web-5", left_s=19.2, waiting=5, store="zookeeper"),
        simple("import:rates", "billing-2", left_s=20, waiting=2, gap=True, hold_ms_p95=44_000),
        simple("report:nightly", "batch-2", left_s=3.9, waiting=1, **sql),
        shared("invoice:2026-11", 4, waiters=[queued("orders-web-4")], store="database"),
        shared("api:geocoder", 5, mode="permit", limit=5, kind="semaphore", waiters=callers),
        record("phase:7", kind="barrier", waiters=workers, last_end="", hold_ms_p95=None),
    ]


def without_queues() -> list[LockRecord]:
    leader = held("coord-2", BASE + 9, ago_s=2, left_s=8.1)
    handed = held("orders-web-5", BASE + 77, state="handed", ago_s=0.1, left_s=25)
    return [
        record("coordinator", kind="election", store="zookeeper", holders=[leader]),
        record("cart:u-55190", holders=[handed]),
        *(
            simple(f"order:{n}", f"orders-web-{n % 5}", left_s=118 - n / 1_000)
            for n in range(88_205, 88_214)
        ),
        *(record(f"order:8819{n}", token=BASE + n * 1_002_033) for n in range(6)),
        record("price:refresh", last_end="expired", hold_ms_p95=5_000),
    ]


def every_state() -> Teller:
    """Locks of every kind in every state, and promises that hold."""
    observe(*many(20))
    teller = Teller()
    teller.tell(*with_queues(), *without_queues())
    for name, checked in (("atomicity", 20), ("mutual_exclusion", 48_211)):
        Verdict.objects.update_or_create(
            name=name,
            defaults={
                "state": "HOLDS",
                "checked": checked,
                "checked_at": now(),
                "window_start": now() - timedelta(hours=3),
                "period_s": 60.0,
                "evidence": {"overlaps": 0, "stale_writes_refused": 3, "names": 1_284},
            },
        )
    return teller


def a_story(teller: Teller) -> LockRecord:
    """One lock with a past: let go, run out, taken away, refused."""
    token = BASE + 263_112_207
    waiters = [
        queued("orders-web-1", ago_s=12.4),
        queued("orders-web-5", ago_s=3),
        queued("batch-2", ago_s=1.1, mode="shared"),
    ]
    holder = held(
        "orders-web-3",
        token,
        ago_s=64,
        left_s=26.4,
        waited_ms=41,
        renewals=6,
        renewed_at=(now() - timedelta(seconds=3.6)).isoformat(),
    )
    made = record("order:88197", holders=[holder], waiters=waiters)
    teller.tell(made)
    grant(made, token, "orders-web-3", ago_s=64, until=now() + timedelta(seconds=26))
    past = (
        ("orders-web-5", 66, 1.3, "released"),
        ("orders-web-1", 75, 8.4, "released"),
        ("orders-web-2", 101, 25.2, "forced"),
        ("batch-2", 140, 30, "expired"),
        ("orders-web-3", 145, 0.1, "released"),
    )
    for i, (owner, ago_s, held_s, how) in enumerate(past, 1):
        ended = now() - timedelta(seconds=ago_s - held_s)
        grant(
            made,
            token - i * 1_300_511,
            owner,
            ago_s=ago_s,
            ended_at=ended,
            ended=how,
            asked_at=now() - timedelta(seconds=ago_s + 0.04),
        )
    LockRefusal.objects.create(
        key=made.key,
        at=now() - timedelta(seconds=40),
        what="shop.Order 88197",
        token=token - 1_300_511,
        newer=token,
        owner="orders-web-5",
    )
    return made


def entangled() -> list[LockRecord]:
    """A cycle of three, and three more stuck behind it."""
    return [
        record(
            "stock:7",
            holders=[held("payouts-1", BASE + 2_511_846)],
            waiters=[queued("orders-web-1", ago_s=18.9)],
        ),
        record(
            "ledger:us-2",
            holders=[held("orders-web-5", BASE + 1_993_017)],
            waiters=[
                queued("payouts-1", ago_s=19.4),
                queued("orders-web-2", ago_s=6.1),
                queued("orders-web-4", ago_s=2.2),
                queued("batch-2", ago_s=1.1),
            ],
        ),
        record(
            "stock:19",
            holders=[held("orders-web-1", BASE + 2_718_230)],
            waiters=[queued("orders-web-5", ago_s=18.2)],
        ),
    ]


def past_deadlocks() -> None:
    """Four that were found and ended."""
    LockDeadlock.objects.bulk_create(
        LockDeadlock(
            at=now() - timedelta(minutes=20 * i),
            cycle=[
                {
                    "context": f"thread:{who}:1",
                    "owner": who,
                    "waits_for": f"redis lock {name}",
                    "since": (now() - timedelta(minutes=20 * i, milliseconds=420)).isoformat(),
                }
                for who, name in (("orders-web-1", "stock:7"), ("payouts-2", "stock:12"))
            ],
            victim="thread:payouts-2:1",
            rule="youngest",
        )
        for i in range(1, 5)
    )
