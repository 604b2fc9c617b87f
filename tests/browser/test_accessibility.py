"""Every page and every dialog by the rules of WCAG 2.2 AA, as axe-core finds them broken.

In both themes, on a desk and on a phone; what axe cannot decide by itself is left to people.
"""

import json
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser import queue_scenes
from tests.browser.lock_scenes import a_story, entangled, every_state, past_deadlocks
from tests.browser.pages import MARKS, live
from tests.browser.transaction_scenes import broken, lively
from tests.integration.dashboard_locks import Teller, lock_operator
from tests.integration.dashboard_queues import queue_operator
from tests.integration.dashboard_web import Web, operator

pytestmark = MARKS

AXE = Path(__file__).parent / "vendor/axe-core-4.14.1/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = """async ([part, tags]) => {
    const found = await axe.run(part, { runOnly: { type: "tag", values: tags } });
    const told = (node) => [node.target.join(" "), node.failureSummary];
    return found.violations.map(({ id, help, nodes }) => (
        { id, help, nodes: nodes.slice(0, 4).map(told), count: nodes.length }));
}"""


def broken_rules(page: Page, name: str, part: str = "html") -> list[str]:
    """What this page breaks, in words."""
    page.evaluate(AXE.read_text())
    return [
        f"{name}: {found['id']}, {found['count']} times: {found['help']}\n"
        + json.dumps(found["nodes"], indent=1, ensure_ascii=False)
        for found in page.evaluate(RUN, [part, RULES])
    ]


def dialogs(page: Page, name: str, *ids: str) -> list[str]:
    """What these dialogs of the page break, one after the other."""
    found = []
    for each in (*ids, "help"):
        page.evaluate(f"document.getElementById('{each}').showModal()")
        found += broken_rules(page, f"{name}, {each}")
        page.keyboard.press("Escape")
    return found


def assert_none(found: list[str]) -> None:
    assert not found, "\n".join(found)


def test_a_planted_fault_is_found(web: Web, open_tab, transactional_db: None) -> None:
    with open_tab(web) as page:
        page.goto("/login/")
        page.evaluate(
            """() => document.querySelector("main").insertAdjacentHTML(
                "beforeend", "<p id=pale>pale</p><button></button>")"""
        )
        page.evaluate(
            "document.getElementById('pale').style.setProperty('color', 'rgb(128 128 128 / 20%)')"
        )
        found = " ".join(broken_rules(page, "login"))
    assert "color-contrast" in found
    assert "button-name" in found


def test_pages_that_have_nothing_to_show(web: Web, open_look, transactional_db: None) -> None:
    found = []
    with open_look(web) as page:
        page.goto("/login/")
        found += broken_rules(page, "login")
    with open_look(web, lock_operator()) as page:
        for address in (
            "/",
            "/transactions/",
            "/locks/",
            "/queues/",
            "/waits/",
            "/verdicts/atomicity/",
        ):
            live(page, address)
            found += broken_rules(page, f"{address} empty")
    assert_none(found)


def test_pages_of_transactions(web: Web, open_look, transactional_db: None) -> None:
    moment = lively()
    found = []
    with open_look(web, operator()) as page:
        for address in ("/", "/transactions/", "/transactions/?q=state:committed%20-name:x.*"):
            live(page, address)
            found += broken_rules(page, address)
        page.goto("/transactions/?q=sate:voting")
        found += broken_rules(page, "a filter that is refused")
        for name, story in moment.items():
            live(page, f"/transactions/{story.gid}/")
            expect(page.locator(".dg svg.sw")).to_be_visible()
            found += broken_rules(page, f"transaction {name}")
        live(page, f"/transactions/{moment['doubt'].gid}/?at=2")
        found += dialogs(page, "transaction", "resolve", "more")
        broken(moment["astray"])
        for address in ("/", "/verdicts/atomicity/"):
            live(page, address)
            found += broken_rules(page, f"{address} violated")
        found += dialogs(page, "verdict", "acknowledge")
    assert_none(found)


def test_pages_of_locks(web: Web, open_look, transactional_db: None) -> None:
    teller = every_state()
    a_story(teller)
    past_deadlocks()
    found = []
    with open_look(web, lock_operator()) as page:
        for address in (
            *("/", "/locks/", "/verdicts/mutual_exclusion/", "/locks/redis/lock/ledger:eu-7"),
            *("/locks/redis/semaphore/api:geocoder", "/locks/redis/barrier/phase:7", "/waits/"),
            "/locks/redis/lock/order:88197",
        ):
            live(page, address)
            found += broken_rules(page, address)
        found += dialogs(page, "lock", "ask", "force")
    assert_none(found)


def test_pages_of_queues(web: Web, open_look, transactional_db: None) -> None:
    emails = queue_scenes.every_state()
    letter = queue_scenes.a_past(emails)
    queue_scenes.a_long_life(emails, letter)
    found = []
    with open_look(web, queue_operator()) as page:
        for address in (
            *("/", "/queues/", "/queues/?q=state:dead%20-name:x.*", "/queues/rabbitmq/sms"),
            *("/queues/redis/ledger.feed", "/queues/database/invoices"),
        ):
            live(page, address)
            found += broken_rules(page, address)
        live(page, f"/message/redis/{letter}")
        found += broken_rules(page, "message")
        found += dialogs(page, "message", "requeue", "transfer", "discard")
        live(page, "/queues/redis/emails")
        expect(page.locator("#letters tbody tr")).to_have_count(5)
        found += broken_rules(page, "queue")
        found += dialogs(page, "queue", "pause", "redrive", "move", "purge")
    assert_none(found)


def test_the_graph_of_waits(web: Web, open_look, transactional_db: None) -> None:
    Teller().tell(*entangled())
    with open_look(web, lock_operator()) as page:
        live(page, "/waits/")
        expect(page.locator(".graph .node")).to_have_count(6)
        found = broken_rules(page, "/waits/ with a cycle")
    assert_none(found)


def test_pages_of_the_admin_that_ask_for_a_reason(
    web: Web, open_look, transactional_db: None
) -> None:
    every_state()
    found = []
    with open_look(web, lock_operator()) as page:
        page.goto("/admin/coordination/lockrecord/")
        page.locator("input.action-select").first.check()
        page.locator("select[name=action]").select_option("force_release")
        page.locator("button[name=index]").click()
        expect(page.locator("#id_reason")).to_be_visible()
        # What is around it is Django's.
        found += broken_rules(page, "admin, force release", "#content")
        live(page, "/")
    assert_none(found)
