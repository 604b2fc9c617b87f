"""Counters in a real browser: the list follows, a page tells what was done, somebody mends one."""

import secrets

from playwright.sync_api import expect

from coordination import counter
from coordination.counters.importing import Importer
from coordination.counters.stores.sources import event_sources
from dashboard.limits import PAGE_ROWS
from dashboard.templatetags.counting import signed
from tests.browser.conftest import OpenTab
from tests.browser.pages import MARKS, live
from tests.integration.dashboard_counters import (
    count,
    counter_operator,
    observe,
    record,
    violate,
)
from tests.integration.dashboard_web import Web
from tests.integration.lock_observing import drain

pytestmark = MARKS


# The web process keeps connections of a database store open, which these tests wait to be closed.
def in_redis(value: int, **options: int) -> str:
    """A new counter in the tests' Redis, observed; returns its name."""
    name = f"stock:{secrets.token_hex(4)}"
    counter(name, using="redis", **options).add(value)
    observe_redis()
    return name


def observe_redis() -> None:
    """Import and fold what was counted there, by whomever."""
    sources = [source for source in event_sources() if source.alias == "redis"]
    importer = Importer("default", sources)
    while drain(importer.step):
        observe()
    observe()


REASON = "the stock was counted by hand, ticket 3390"


def test_the_list_follows_while_it_is_looked_at(
    web: Web, open_tab: OpenTab, transactional_db: None
) -> None:
    count("stock:1", 5, minimum=0)
    with open_tab(web, counter_operator()) as page:
        live(page, "/counters/")
        row = page.locator('#rows tr[data-id="database stock:1"]')
        expect(row).to_contain_text("Counting")
        count("stock:1", -2, minimum=0)
        expect(row).to_contain_text(signed(-2))
        expect(row.locator("td").nth(2)).to_have_text("3")
        count("stock:1", -3, minimum=0)
        expect(row).to_contain_text("At its bound")
        expect(page.locator('#facets a[data-key="at_bound"] .n')).to_have_text("1")
        count("stock:0", 1)
        expect(page.locator("#rows tr").first).to_contain_text("stock:0")
        page.locator("#hold").click()
        count("stock:00", 1)
        expect(page.locator("#waiting")).to_contain_text("1 newer held back")


def test_a_filter_keeps_the_rows_that_match(
    web: Web, open_tab: OpenTab, transactional_db: None
) -> None:
    count("a", 5)
    count("b", 50)
    with open_tab(web, counter_operator()) as page:
        live(page, "/counters/?q=value:>9")
        expect(page.locator("#rows tr")).to_have_count(1)
        count("a", 5)
        expect(page.locator("#rows tr")).to_have_count(2)
        count("b", -50)
        expect(page.locator("#rows tr")).to_have_count(1)


def test_a_long_list_keeps_to_its_page(web: Web, open_tab: OpenTab, transactional_db: None) -> None:
    for number in range(PAGE_ROWS + 20):
        record(f"n{number:03}", number)
    with open_tab(web, counter_operator()) as page:
        live(page, "/counters/")
        expect(page.locator("#rows tr")).to_have_count(PAGE_ROWS)
        page.get_by_role("link", name="Next").click()
        expect(page.locator("#rows tr")).to_have_count(20)
        expect(page.locator("#asof")).to_contain_text("not live")


def test_the_page_of_a_counter_follows_and_adjusts_it(
    web: Web, open_tab: OpenTab, transactional_db: None
) -> None:
    name = in_redis(10, minimum=0, maximum=40)
    with open_tab(web, counter_operator()) as page:
        live(page, f"/counters/redis/{name}")
        expect(page.locator("#value .num")).to_have_text("10")
        counter(name, minimum=0, maximum=40, using="redis").add(5)
        observe_redis()
        expect(page.locator("#value .num")).to_have_text("15")
        expect(page.locator("#changes tbody tr")).to_have_count(2)

        page.locator("#adjust-open").click()
        expect(page.locator("#adjust-submit")).to_be_disabled()
        page.fill("#adjust-amount", "-3")
        expect(page.locator("#adjust [data-becomes]")).to_have_text(", and would stand at 12")
        page.fill("#adjust-reason", "short")
        expect(page.locator("#adjust-submit")).to_be_disabled()
        page.fill("#adjust-reason", REASON)
        page.locator("#adjust-submit").click()
        expect(page.locator("main .note").first).to_contain_text("Adjusted by -3. It is 12 now.")
        observe_redis()
        expect(page.locator("#value .num")).to_have_text("12")
        expect(page.locator("#changes tbody tr").first).to_contain_text("cora")
        expect(page.locator("#last")).to_contain_text(REASON)
    assert counter(name, using="redis").get() == 12


def test_a_reset_takes_the_value_that_stood_when_it_was_opened(
    web: Web, open_tab: OpenTab, transactional_db: None
) -> None:
    name = in_redis(10)
    stock = counter(name, using="redis")
    with open_tab(web, counter_operator()) as page:
        live(page, f"/counters/redis/{name}")
        stock.add(5)
        observe_redis()
        expect(page.locator("#value .num")).to_have_text("15")
        page.locator("#reset-open").click()
        expect(page.locator("#reset [data-confirm]")).to_have_text("15")
        page.fill("#reset-confirm", "15")
        page.fill("#reset-reason", REASON)
        stock.add(1)
        page.locator("#reset-submit").click()
        expect(page.locator("main .note").first).to_contain_text("It has changed meanwhile")
        observe_redis()
        expect(page.locator("#value .num")).to_have_text("16")
        page.locator("#reset-open").click()
        page.fill("#reset-confirm", "16")
        page.fill("#reset-reason", REASON)
        page.locator("#reset-submit").click()
        expect(page.locator("main .note").first).to_contain_text("Reset from 16. It is 0 now.")
    assert stock.get() == 0


def test_a_dispute_shows_itself_on_an_open_page(
    web: Web, open_tab: OpenTab, transactional_db: None
) -> None:
    count("stock:7", 10)
    with open_tab(web, counter_operator()) as page:
        live(page, "/counters/database/stock:7")
        violate("database stock:7", "version 2 began at 40, but version 1 had left 10")
        expect(page.locator("#pill")).to_contain_text("Disputed")
        expect(page.locator('.rail [data-rail="miscounted"]')).to_contain_text("1")
        live(page, "/")
        expect(page.locator("#attention")).to_contain_text("Violation in stock:7")
        page.locator("#attention a").click()
        expect(page.locator("#main")).to_contain_text("version 2 began at 40")


def test_the_keys_lead_there_and_events_are_told_in_words(
    web: Web, open_tab: OpenTab, transactional_db: None
) -> None:
    with open_tab(web, counter_operator()) as page:
        live(page, "/")
        count("letters", 3)
        expect(page.locator("#events")).to_contain_text("letters changed by +3 to 3")
        page.keyboard.press("g")
        page.keyboard.press("c")
        expect(page.locator("h1")).to_have_text("Counters")
        expect(page.locator("#rows tr")).to_have_count(1)
        live(page)
