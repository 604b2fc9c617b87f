"""Every page in both themes, on a desk and on a phone: complete, quiet, nothing cut off."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Take
from tests.browser.pages import MARKS, live
from tests.browser.transaction_scenes import broken, lively, verdict
from tests.integration.dashboard_stories import Story, many, observe
from tests.integration.dashboard_web import Web, operator

pytestmark = MARKS


@pytest.fixture
def moment(transactional_db: None) -> dict[str, Story]:
    return lively()


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
        page.fill("#resolve-confirm", moment["doubt"].gid[-6:])
        page.fill("#resolve-reason", "Gateway down, OPS-3390; no charge at the bank")
        take(page, "resolve")


def test_pages_while_the_promise_is_broken(web: Web, open_look, take: Take, moment) -> None:
    broken(moment["astray"])
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
