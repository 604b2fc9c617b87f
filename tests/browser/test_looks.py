"""Every page in both themes, on a desk and on a phone: complete, quiet, nothing cut off.

With CONCORD_SCREENSHOTS=1 the pictures replace those in docs/screenshots.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from coordination.observing.records import Verdict, Violation
from examples.bank import seeding
from tests.browser.conftest import OpenTab
from tests.integration import dashboard_web
from tests.integration.dashboard_stories import (
    Story,
    applying,
    heuristic,
    in_doubt,
    many,
    observe,
)
from tests.integration.dashboard_web import Web, operator

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "bank_a", "bank_b"]),
    pytest.mark.usefixtures("settled"),
]

web, settled = dashboard_web.web, dashboard_web.settled

DOCS = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
KEEP = os.environ.get("CONCORD_SCREENSHOTS") == "1"
SIZES = {"1440": (1440, 900), "390": (390, 844)}
EVERY_LOOK = [(theme, size) for theme in ("light", "dark") for size in SIZES]
# Without pictures to keep, two opposite looks find what is cut off.
LOOKS = EVERY_LOOK if KEEP else [("light", "1440"), ("dark", "390")]
HISTORY = 300

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
def moment(transactional_db: None) -> dict[str, Story]:
    """A lively five minutes: most went well; one is in doubt, one failing, one went astray."""
    shown = {
        "doubt": in_doubt(),
        "applying": applying(),
        "astray": heuristic(),
    }
    shown["doubt"].resolved("retry", actor="m.keller", reason="database bank_b is back, OPS-3381")
    voting = [Story(name="bank.balance", ago_s=0.3), Story(name="bank.amalgamate", ago_s=0.2)]
    observe(*many(HISTORY, ago_s=296), *shown.values(), *voting)
    seeding.seed(200)
    verdict(state="HOLDS", checked=9_604)
    return shown


def verdict(**fields: object) -> None:
    """The auditor's word, fresh enough for the whole test."""
    now = datetime.now(UTC)
    databases = {
        name: {"seen": True, "reason": "", "prepared": prepared}
        for name, prepared in (("bank_a", 1), ("bank_b", 0))
    }
    Verdict.objects.update_or_create(
        name="atomicity",
        defaults={
            "checked_at": now,
            "window_start": now - timedelta(hours=3),
            "period_s": 60.0,
            "evidence": {"databases": databases, "unaudited": 2, "unseen_branches": 0},
            **fields,
        },
    )


def live(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator("#live b")).to_have_text("Live")
    # The first figures of the socket, so that a picture does not show half of each.
    page.wait_for_timeout(1_200)


@pytest.fixture
def open_look(open_tab: OpenTab, look: tuple[str, str]) -> Callable[..., object]:
    """`open_tab` in this test's theme and size."""
    theme, size = look
    width, height = SIZES[size]

    def open_page(web: Web, user: User | None = None) -> object:
        return open_tab(web, user, width=width, height=height, theme=theme)

    return open_page


def test_login(web: Web, open_look, take: Take) -> None:
    with open_look(web) as page:
        page.goto("/login/")
        take(page, "login")


def test_pages_while_the_promise_holds(web: Web, open_look, take: Take, moment) -> None:
    with open_look(web, operator()) as page:
        live(page, "/")
        expect(page.locator("#headline h1")).to_have_text("Every promise holds")
        expect(page.locator("#tiles .st").first).to_have_text("HOLDS")
        take(page, "overview")
        live(page, "/transactions/")
        expect(page.locator("#rows tr").first).to_contain_text("In doubt")
        take(page, "transactions")
        page.goto("/transactions/?q=sate:voting")
        expect(page.locator("#filter-error")).to_contain_text("Did you mean “state”?")
        take(page, "transactions-refused")
        live(page, "/verdicts/atomicity/")
        take(page, "verdict")


def test_one_transaction_in_each_stand(web: Web, open_look, take: Take, moment) -> None:
    with open_look(web, operator()) as page:
        for name, story in moment.items():
            live(page, f"/transactions/{story.gid}/")
            expect(page.locator(".dg svg.sw")).to_be_visible()
            take(page, f"transaction-{name}")
        live(page, f"/transactions/{moment['doubt'].gid}/")
        page.locator("#resolve-open").click()
        page.fill("#confirm", moment["doubt"].gid[-6:])
        page.fill("#reason", "Gateway down, OPS-3390; no charge at the bank")
        take(page, "resolve")


def test_pages_while_the_promise_is_broken(web: Web, open_look, take: Take, moment) -> None:
    sentence = "bank.b.deposit on bank_b ended as heuristic_rollback, outcome committed"
    Violation.objects.create(
        verdict="atomicity",
        gid=moment["astray"].gid,
        branch_seq=2,
        kind="heuristic",
        sentence=sentence,
        evidence={
            "database": "bank_b",
            "participant": "bank.b.deposit",
            "outcome": "committed",
            "vote": "yes",
            "actual": "heuristic_rollback",
            "witness": None,
            "prepared": False,
        },
    )
    verdict(state="VIOLATED", checked=9_605, violations=1)
    with open_look(web, operator()) as page:
        live(page, "/")
        expect(page.locator("#headline h1")).to_have_text("A promise is broken")
        take(page, "overview-violated")
        live(page, "/verdicts/atomicity/")
        take(page, "verdict-violated")
        page.locator("[data-open=acknowledge]").click()
        take(page, "acknowledge")


def test_late_evidence_turns_the_tile_to_hatch_by_itself(web: Web, open_look, take: Take) -> None:
    observe(*many(30))
    with open_look(web, operator()) as page:
        live(page, "/")
        verdict(state="HOLDS", checked=30, period_s=4.0)
        expect(page.locator("#tiles .st").first).to_have_text("HOLDS")
        expect(page.locator("#tiles .st").first).to_have_text("UNPROVEN", timeout=20_000)
        take(page, "overview-unproven")
