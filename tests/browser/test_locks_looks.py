"""The pages of locks in both themes, on a desk and on a phone: complete, and nothing cut off.

With CONCORD_SCREENSHOTS=1 the pictures replace those in docs/screenshots.
"""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from coordination.locks.records import LockDeadlock, LockRecord, LockRefusal
from coordination.observing.records import Verdict
from tests.browser.conftest import OpenTab
from tests.integration import dashboard_web
from tests.integration.dashboard_locks import (
    Teller,
    again,
    grant,
    held,
    lock_operator,
    now,
    queued,
    record,
)
from tests.integration.dashboard_stories import many, observe
from tests.integration.dashboard_web import Web

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "bank_a", "bank_b"]),
    pytest.mark.usefixtures("settled"),
]

web, settled = dashboard_web.web, dashboard_web.settled

DOCS = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
KEEP = os.environ.get("CONCORD_SCREENSHOTS") == "1"
SIZES = {"1440": (1440, 900), "390": (390, 844)}
EVERY_LOOK = [(theme, size) for theme in ("light", "dark") for size in SIZES]
LOOKS = EVERY_LOOK if KEEP else [("light", "1440"), ("dark", "390")]
BASE = 1_795_435_000_000_000

Take = Callable[[Page, str], None]


@pytest.fixture(params=LOOKS, ids="-".join)
def look(request: pytest.FixtureRequest) -> tuple[str, str]:
    chosen: tuple[str, str] = request.param
    return chosen


@pytest.fixture
def take(look: tuple[str, str], tmp_path: Path) -> Take:
    """A function that checks a page's layout and takes its picture."""

    def take_picture(page: Page, name: str) -> None:
        page.mouse.move(0, 0)
        page.evaluate("document.fonts.ready")
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{name} is {wide} px too wide"
        folder = DOCS if KEEP else tmp_path
        folder.mkdir(exist_ok=True)
        page.screenshot(path=folder / f"{name}-{'-'.join(look)}.png")

    return take_picture


@pytest.fixture
def open_look(open_tab: OpenTab, look: tuple[str, str]) -> Callable[..., object]:
    """`open_tab` in this test's theme and size, for somebody who may act."""
    theme, size = look
    width, height = SIZES[size]
    return lambda web: open_tab(web, lock_operator(), width=width, height=height, theme=theme)


def live(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator("#live b")).to_have_text("Live")
    # The first frames of the socket, so that a picture does not show half of each.
    page.wait_for_timeout(1_200)


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


@pytest.fixture
def moment(transactional_db: None) -> Teller:
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


def test_the_list_of_locks(web: Web, open_look, take: Take, moment: Teller) -> None:
    with open_look(web) as page:
        live(page, "/locks/")
        expect(page.locator("#rows tr").first).to_contain_text("Disputed")
        expect(page.locator("#rows tr").first.locator(".lease")).to_have_count(1)
        take(page, "locks")
        page.goto("/locks/?q=sate:held")
        expect(page.locator("#filter-error")).to_contain_text("Did you mean “state”?")
        live(page, "/")
        take(page, "overview-locks")
        live(page, "/verdicts/mutual_exclusion/")
        take(page, "verdict-locks")


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


def test_one_lock(web: Web, open_look, take: Take, moment: Teller) -> None:
    made = a_story(moment)
    with open_look(web) as page:
        live(page, "/locks/redis/lock/order:88197")
        expect(page.locator("#lanes .dg .bar").first).to_be_visible()
        expect(page.locator("#lanes .lanes b")).to_have_text(
            ["orders-web-3", "orders-web-1", "orders-web-5", "batch-2", "orders-web-2"]
        )
        take(page, "lock")
        page.locator("#force-open").click()
        page.fill("#force-confirm", str(made.token)[-6:])
        page.fill("#force-reason", "Worker is gone, OPS-3390; the order is written by hand")
        expect(page.locator("#force-submit")).to_be_enabled()
        take(page, "lock-force")
        live(page, "/locks/redis/semaphore/api:geocoder")
        expect(page.locator("#holder li")).to_have_count(5)
        take(page, "lock-semaphore")
        live(page, "/locks/redis/barrier/phase:7")
        expect(page.locator("#sentence")).to_contain_text("2 of 4 have come")
        take(page, "lock-barrier")
        live(page, "/locks/redis/lock/ledger:eu-7")
        take(page, "lock-disputed")


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


def test_the_wait_for_graph(web: Web, open_look, take: Take, transactional_db: None) -> None:
    teller = Teller()
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
    with open_look(web) as page:
        live(page, "/waits/")
        expect(page.locator("#sentence")).to_contain_text("Nobody waits for anybody")
        cycle = entangled()
        teller.tell(*cycle)
        expect(page.locator("#sentence")).to_contain_text("3 wait for each other")
        expect(page.locator(".graph .node")).to_have_count(6)
        take(page, "waits")
        page.evaluate("scrollTo(0, 700)")
        take(page, "waits-below")
        page.evaluate("scrollTo(0, 0)")
        pair = again(
            cycle[0],
            holders=[held("orders-web-5", 5)],
            waiters=[queued("orders-web-1", ago_s=4)],
            waiting=1,
        )
        teller.tell(pair)
        expect(page.locator("#sentence")).to_contain_text("2 wait for each other")
        take(page, "waits-pair")
        teller.tell(
            *(again(each, version=9, waiters=each.waiters[:1]) for each in cycle[:2]),
            again(cycle[2], version=9, waiters=[], waiting=0),
        )
        expect(page.locator("#sentence")).to_contain_text("no cycle")
        take(page, "waits-open")
