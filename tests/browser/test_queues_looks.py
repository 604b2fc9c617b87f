"""The pages of queues in both themes, on a desk and on a phone: complete, and nothing cut off."""

import pytest
from playwright.sync_api import expect

from coordination.queues.records import QueueRecord
from tests.browser.conftest import Take
from tests.browser.pages import MARKS, live
from tests.browser.queue_scenes import a_long_life, a_past, every_state
from tests.integration.dashboard_queues import queue_operator
from tests.integration.dashboard_web import Web

pytestmark = MARKS


@pytest.fixture
def emails(transactional_db: None) -> QueueRecord:
    return every_state()


def test_the_list_of_queues(web: Web, open_look, take: Take, emails: QueueRecord) -> None:
    with open_look(web, queue_operator()) as page:
        live(page, "/queues/")
        expect(page.locator("#rows tr").first).to_contain_text("Disputed")
        expect(page.locator("#rows tr").nth(1)).to_contain_text("Dead letters")
        expect(page.locator("#rows .flow").first).to_have_count(1)
        take(page, "queues")
        page.goto("/queues/?q=sate:idle")
        expect(page.locator("#filter-error")).to_contain_text("Did you mean “state”?")


def test_one_queue(web: Web, open_look, take: Take, emails: QueueRecord) -> None:
    a_past(emails)
    with open_look(web, queue_operator()) as page:
        live(page, "/queues/redis/emails")
        expect(page.locator("#chart svg")).to_be_visible()
        expect(page.locator("#letters tbody tr")).to_have_count(5)
        expect(page.locator("#flight tbody tr")).to_have_count(6)
        expect(page.locator("#sheet")).to_contain_text("Missing")
        take(page, "queue")
        page.locator("#purge-open").click()
        page.fill("#purge-confirm", "1324")
        page.fill("#purge-reason", "A loop published them, OPS-4410; none is wanted")
        expect(page.locator("#purge-submit")).to_be_enabled()
        take(page, "queue-purge")
        page.keyboard.press("Escape")
        page.locator("#pause-open").click()
        expect(page.locator("#pause")).to_contain_text("1,204 ready and 48 in flight")
        for name, said, look in (
            ("rabbitmq/sms", "tells statistics alone", "statistics"),
            ("redis/ledger.feed", "are nowhere", "disputed"),
        ):
            live(page, f"/queues/{name}")
            expect(page.locator("main")).to_contain_text(said)
            take(page, f"queue-{look}")


def test_one_message(web: Web, open_look, take: Take, emails: QueueRecord) -> None:
    letter = a_past(emails)
    a_long_life(emails, letter)
    with open_look(web, queue_operator()) as page:
        live(page, f"/message/redis/{letter}")
        expect(page.locator(".lifeline")).to_contain_text("Given another chance")
        take(page, "message")
