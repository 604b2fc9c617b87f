"""What every live list keeps: its order, its focus, and its word after an outage."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenTab
from tests.browser.pages import MARKS, live
from tests.integration.dashboard_locks import Teller, again, held, queued, record
from tests.integration.dashboard_stories import Story, observe
from tests.integration.dashboard_web import Web, viewer

pytestmark = MARKS

ROWS = 6
BACK_WITHIN_S = 6
"""Three seconds are promised; the rest is for a busy test machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A list with some rows, and what may happen to it."""

    address: str
    changes: Callable[[], None]
    """The last row changes, so that it would stand elsewhere or leave."""
    comes: Callable[[], None]
    """One more row."""
    last: str
    """The id of the row that changes."""
    says: str
    """What stands in that row afterwards."""


def transactions() -> Shown:
    stories = [Story(ago_s=60 - i) for i in range(ROWS)]
    observe(*stories)
    return Shown(
        address="/transactions/",
        changes=lambda: observe(stories[0].committed()),
        comes=lambda: observe(Story(ago_s=0)),
        last=stories[0].gid,
        says="Committed",
    )


def locks() -> Shown:
    teller = Teller()
    made = [record(f"row:{i}", holders=[held("a", i + 1)]) for i in range(ROWS)]
    teller.tell(*made)
    changed = again(made[-1], waiters=[queued("x")] * 3, waiting=3)
    return Shown(
        address="/locks/",
        changes=lambda: teller.tell(changed, kind="lock.waiting"),
        comes=lambda: teller.tell(record("row:0x", holders=[held("c", 10)])),
        last="redis lock row:5",
        says="3 waiting",
    )


@pytest.fixture(params=[transactions, locks], ids=lambda each: each.__name__)
def shown(request: pytest.FixtureRequest, transactional_db: None) -> Shown:
    made: Shown = request.param()
    return made


def order(page: Page) -> list[str]:
    found: list[str] = page.eval_on_selector_all(
        "#rows tr", "(all) => all.map((r) => r.dataset.id)"
    )
    return found


def row(shown: Shown) -> str:
    return f'tr[data-id="{shown.last}"]'


def test_rows_keep_their_places_while_somebody_points_at_them(
    web: Web, open_tab: OpenTab, shown: Shown
) -> None:
    with open_tab(web, viewer()) as page:
        live(page, shown.address)
        expect(page.locator("#rows tr")).to_have_count(ROWS)
        page.locator("#rows tr").nth(2).hover()
        before = order(page)
        shown.changes()
        shown.comes()
        expect(page.locator(row(shown))).to_contain_text(shown.says)
        expect(page.locator("#waiting")).to_have_text("1 newer held back")
        assert order(page) == before
        page.mouse.move(5, 5)
        expect(page.locator("#rows tr")).to_have_count(ROWS + 1)
        assert order(page) != before


def test_a_list_that_is_held_stands_still_until_it_is_let_go(
    web: Web, open_tab: OpenTab, shown: Shown
) -> None:
    with open_tab(web, viewer()) as page:
        live(page, shown.address)
        page.keyboard.press("p")
        shown.comes()
        expect(page.locator("#waiting")).to_have_text("1 newer held back")
        expect(page.locator("#rows tr")).to_have_count(ROWS)
        page.locator("#hold").click()
        expect(page.locator("#rows tr")).to_have_count(ROWS + 1)


def test_the_focus_stays_on_its_row_over_live_updates(
    web: Web, open_tab: OpenTab, shown: Shown
) -> None:
    with open_tab(web, viewer()) as page:
        live(page, shown.address)
        link = page.locator(f"{row(shown)} a")
        link.focus()
        shown.changes()
        expect(page.locator(row(shown))).to_contain_text(shown.says)
        expect(link).to_be_focused()


def test_a_killed_web_process_shows_as_stale_and_heals_without_reload(
    web: Web, open_tab: OpenTab, shown: Shown
) -> None:
    user = viewer()
    with open_tab(web, user) as page, open_tab(web, user) as fresh:
        live(page, shown.address)
        page.evaluate("window.notReloaded = true")
        web.kill()
        expect(page.locator("#live b")).to_have_text(re.compile(r"Stale \d+ s"), timeout=10_000)
        assert "saturate" in page.locator("main").evaluate("(m) => getComputedStyle(m).filter")
        shown.changes()
        shown.comes()
        expect(page.locator("#live b")).to_have_text(re.compile(r"Stale ([5-9]|\d\d) s"))
        web.start()
        back_at = time.monotonic()
        live(page)
        expect(page.locator(row(shown))).to_contain_text(shown.says)
        expect(page.locator("#rows tr")).to_have_count(ROWS + 1)
        assert time.monotonic() - back_at < BACK_WITHIN_S
        live(fresh, shown.address)
        expect(fresh.locator("#rows tr")).to_have_count(ROWS + 1)
        assert unmoving(page) == unmoving(fresh)
        assert page.evaluate("window.notReloaded")


def unmoving(page: Page) -> list[list[str]]:
    """The table as shown, without the figures that a clock moves."""
    found: list[list[str]] = page.eval_on_selector_all(
        "#rows tr",
        """(all) => all.map((row) => [row.dataset.id, ...[...row.cells]
            .map((cell) => cell.innerText.trim())
            .filter((text) => !/^(\\d+ min )?[\\d.]+ s$/.test(text))])""",
    )
    return found
