"""Every page and every dialog of counters by the rules of WCAG 2.2 AA, as axe-core finds them."""

from playwright.sync_api import expect

from tests.browser.counter_scenes import a_story, at_its_bound, every_state, in_rows
from tests.browser.pages import MARKS, live
from tests.browser.test_accessibility import assert_none, broken_rules, dialogs
from tests.integration.dashboard_counters import counter_operator
from tests.integration.dashboard_web import Web

pytestmark = MARKS


def test_the_list_that_has_nothing_to_show(web: Web, open_look, transactional_db: None) -> None:
    with open_look(web, counter_operator()) as page:
        live(page, "/counters/")
        assert_none(broken_rules(page, "/counters/ empty"))


def test_pages_of_counters(web: Web, open_look, transactional_db: None) -> None:
    every_state()
    a_story()
    in_rows()
    at_its_bound()
    found = []
    with open_look(web, counter_operator()) as page:
        for address in (
            *("/", "/counters/", "/verdicts/counter_history/", "/counters/redis/stock:7"),
            *("/counters/redis/import:rows", "/counters/database/visits:shop"),
            *("/counters/database/seats:A-1", "/counters/database/stock:A-7"),
        ):
            live(page, address)
            found += broken_rules(page, address)
        found += dialogs(page, "counter", "adjust", "reset")
    assert_none(found)


def test_pages_of_the_admin_that_ask_for_a_reason(
    web: Web, open_look, transactional_db: None
) -> None:
    every_state()
    found = []
    with open_look(web, counter_operator()) as page:
        for action in ("adjust", "reset"):
            page.goto("/admin/coordination/counterrecord/")
            page.locator("input.action-select").first.check()
            page.locator("select[name=action]").select_option(action)
            page.locator("button[name=index]").click()
            expect(page.locator("#id_reason")).to_be_visible()
            # What is around it is Django's.
            found += broken_rules(page, f"admin, {action}", "#content")
        live(page, "/")
    assert_none(found)
