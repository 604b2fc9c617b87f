"""The dashboard in a real browser: signs in, changes by itself, survives the web process."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import OpenTab
from tests.browser.pages import MARKS, live
from tests.integration.dashboard_stories import Story, heuristic, in_doubt, many, observe
from tests.integration.dashboard_web import PASSWORD, Web, operator, viewer

pytestmark = MARKS

XSS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</script><svg onload=alert(1)>",
    "'-alert(1)-'",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href=javascript:alert(1)>x</a>",
)
REASON = "the gateway is gone, ticket 3390"


def test_a_person_signs_in_and_sees_rows_change_without_reload(web: Web, open_tab: OpenTab) -> None:
    viewer()
    story = Story(ago_s=0.2)
    observe(story, *many(5))
    with open_tab(web) as page:
        page.goto("/transactions/?q=name:bank.*")
        page.fill("#id_username", "vera")
        page.fill("#id_password", "wrong")
        page.click("text=Sign in >> nth=-1")
        expect(page.get_by_role("alert")).to_contain_text("do not match")
        page.fill("#id_password", PASSWORD)
        page.press("#id_password", "Enter")
        page.wait_for_url("**/transactions/?q=name**")
        live(page)
        page.evaluate("window.notReloaded = true")
        row = page.locator(f'tr[data-id="{story.gid}"]')
        expect(row.locator("td.ps")).to_have_text(re.compile("Voting|In doubt"))

        observe(story.committed())
        expect(row.locator("td.ps")).to_have_text("Committed")
        expect(row.locator(".phase i.c")).to_have_count(2)
        newcomer = Story(ago_s=0).committed()
        observe(newcomer)
        expect(page.locator(f'tr[data-id="{newcomer.gid}"]')).to_be_visible()
        assert page.evaluate("window.notReloaded")


def test_a_transaction_opens_and_is_told_live(web: Web, open_tab: OpenTab) -> None:
    story = in_doubt(ago_s=20)
    observe(story)
    with open_tab(web, viewer()) as page:
        page.goto("/")
        live(page)
        page.locator(f"#attention a:has-text('{story.gid[-6:]}')").click()
        live(page)
        expect(page.locator("#pill")).to_have_text("In doubt")
        expect(page.locator("#sentence .lead")).to_contain_text("Waits for bank.b.deposit")
        expect(page.locator("#log li:not(.gap)")).to_have_count(2)
        expect(page.locator(".dg .now")).to_have_count(1)

        observe(story.voted(2).decided("committed").finished(1, "committed"))
        expect(page.locator("#pill")).to_have_text("Applying")
        expect(page.locator(".dg .decide")).to_have_count(1)
        observe(story.finished(2, "committed").ended("committed"))
        expect(page.locator("#pill")).to_have_text("Committed")
        expect(page.locator("#sentence .lead")).to_contain_text("2 of 2 applied")
        expect(page.locator("#log li:not(.gap)")).to_have_count(7)
        expect(page.locator("#payload .code").first).to_contain_text('"cents": 1250')


def test_time_travel_stands_in_the_address(web: Web, open_tab: OpenTab) -> None:
    story = Story(ago_s=30).committed()
    observe(story)
    with open_tab(web, viewer()) as page:
        page.goto(f"/transactions/{story.gid}/?at=3")
        expect(page.locator("#pill")).to_have_text(re.compile("Voting|In doubt"))
        expect(page.locator(".pos")).to_have_text("event 3 of 7")
        page.keyboard.press("k")
        expect(page.locator("#pill")).to_have_text("Applying")
        assert page.url.endswith("?at=4")
        for _ in range(3):
            page.keyboard.press("k")
        expect(page.locator("#pill")).to_have_text("Committed")
        assert not page.url.endswith("?at=7")


def test_names_never_run(web: Web, open_tab: OpenTab) -> None:
    stories = [
        Story((name, "bank_a"), name=name, key=name, args={"note": name}, ago_s=5).refused(name)
        for name in XSS
    ]
    observe(*stories, Story((XSS[1], XSS[2]), name=XSS[0], ago_s=20).voted(1))
    with open_tab(web, operator()) as page:
        for address in ("/", "/transactions/", "/verdicts/atomicity/"):
            page.goto(address)
            live(page)
        for story in stories:
            page.goto(f"/transactions/{story.gid}/")
            live(page)
            expect(page.locator("#log li").first).to_be_visible()
        observe(*(Story((name, name), name=name, ago_s=0).refused(name) for name in XSS))
        page.goto("/transactions/")
        expect(page.locator("#rows tr")).to_have_count(2 * len(XSS) + 1)


def test_an_operator_resolves_with_keyboard_and_reason(web: Web, open_tab: OpenTab) -> None:
    story = in_doubt()
    observe(story)
    with open_tab(web, operator()) as page:
        page.goto(f"/transactions/{story.gid}/")
        live(page)
        page.locator("#resolve-open").press("Enter")
        submit = page.locator("#resolve-submit")
        expect(page.locator("#resolve [data-close]:focus")).to_have_text("Cancel")
        expect(submit).to_be_disabled()
        expect(page.locator('#resolve input[value="committed"]')).to_be_disabled()
        page.fill("#resolve-confirm", story.gid[-6:])
        expect(submit).to_be_disabled()
        page.fill("#resolve-reason", REASON)
        expect(submit).to_have_text(f"Abort {story.gid[-6:]}")
        expect(submit).to_be_enabled()
        page.keyboard.press("Escape")
        expect(page.locator("#resolve")).not_to_be_visible()


def test_every_link_of_every_page_leads_somewhere(web: Web, open_tab: OpenTab) -> None:
    observe(*many(4), in_doubt(), heuristic())
    with open_tab(web, operator()) as page:
        seen: set[str] = set()
        todo = ["/"]
        while todo:
            address = todo.pop()
            if address in seen or "events.json" in address or address.startswith("/admin"):
                continue
            seen.add(address)
            answer = page.goto(address)
            assert answer is not None
            assert answer.ok, address
            links = page.eval_on_selector_all(
                "a[href]", "(all) => all.map((a) => a.getAttribute('href'))"
            )
            assert "#" not in links, address
            todo += [link for link in links if link.startswith("/") and link.count("?") == 0]
        assert len(seen) >= 9
