"""The pages of counters in both themes, on a desk and on a phone: complete, nothing cut off."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Take
from tests.browser.counter_scenes import a_story, at_its_bound, every_state, in_rows
from tests.browser.pages import MARKS, live
from tests.integration.dashboard_counters import counter_operator
from tests.integration.dashboard_web import Web

pytestmark = MARKS


@pytest.fixture
def moment(transactional_db: None) -> None:
    every_state()


def test_the_list_of_counters(web: Web, open_look, take: Take, moment: None) -> None:
    with open_look(web, counter_operator()) as page:
        live(page, "/counters/")
        expect(page.locator("#rows tr").first).to_contain_text("Disputed")
        expect(page.locator("#rows tr")).to_have_count(21)
        expect(page.locator('#facets a[data-key="at_bound"] .n')).to_have_text("2")
        take(page, "counters")
        live(page, "/")
        take(page, "overview-counters")
        live(page, "/verdicts/counter_history/")
        take(page, "verdict-counters")


def test_one_counter(web: Web, open_look, take: Take, moment: None) -> None:
    a_story()
    with open_look(web, counter_operator()) as page:
        live(page, "/counters/database/stock:A-7")
        expect(page.locator("#changes tbody tr")).to_have_count(18)
        expect(page.locator("#chart rect").first).to_be_visible()
        take(page, "counter")
        page.locator("#adjust-open").click()
        page.fill("#adjust-amount", "-4")
        page.fill("#adjust-reason", "Four were broken in the depot, OPS-3390")
        expect(page.locator("#adjust-submit")).to_be_enabled()
        take(page, "counter-adjust")
        page.keyboard.press("Escape")
        page.locator("#reset-open").click()
        take(page, "counter-reset")


def test_counters_that_call_for_somebody(web: Web, open_look, take: Take, moment: None) -> None:
    in_rows()
    at_its_bound()
    with open_look(web, counter_operator()) as page:
        live(page, "/counters/redis/stock:7")
        expect(page.locator("#sentence")).to_contain_text("that is disputed")
        take(page, "counter-disputed")
        live(page, "/counters/database/visits:shop")
        expect(page.locator("#cells tbody tr").first).to_be_visible()
        take(page, "counter-rows")
        live(page, "/counters/database/seats:A-1")
        expect(page.locator("#sentence")).to_contain_text("That is its minimum")
        take(page, "counter-bound")
