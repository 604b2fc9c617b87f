"""The pages of locks in both themes, on a desk and on a phone: complete, and nothing cut off."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Take
from tests.browser.lock_scenes import a_story, entangled, every_state, past_deadlocks
from tests.browser.pages import MARKS, live
from tests.integration.dashboard_locks import Teller, again, held, lock_operator, queued
from tests.integration.dashboard_web import Web

pytestmark = MARKS


@pytest.fixture
def moment(transactional_db: None) -> Teller:
    return every_state()


def test_the_list_of_locks(web: Web, open_look, take: Take, moment: Teller) -> None:
    with open_look(web, lock_operator()) as page:
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


def test_one_lock(web: Web, open_look, take: Take, moment: Teller) -> None:
    made = a_story(moment)
    with open_look(web, lock_operator()) as page:
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


def test_the_wait_for_graph(web: Web, open_look, take: Take, transactional_db: None) -> None:
    teller = Teller()
    past_deadlocks()
    with open_look(web, lock_operator()) as page:
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
