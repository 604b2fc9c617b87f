"""Queues in a real browser: figures follow the records, a person acts, names never run."""

import itertools
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

from django.db import connections
from playwright.sync_api import expect

from coordination import queue
from coordination.queues.api import Queue
from coordination.queues.records import QueueRecord
from coordination.queues.sweeps.tables import QueueSweep, SweepState, Verb
from dashboard.addresses import queue_address
from dashboard.clock import now_ms
from dashboard.limits import BACKING_UP_MS, QUEUE_BUSY_MS, QUEUE_SILENT_MS
from dashboard.queue_rows import QueueRow
from tests.browser.conftest import OpenTab
from tests.browser.pages import MARKS, live
from tests.integration.dashboard_queues import (
    again,
    ago,
    flow,
    in_flight,
    letter,
    message,
    queue_operator,
    record,
    sweep,
)
from tests.integration.dashboard_stories import observe
from tests.integration.dashboard_web import Web, viewer

pytestmark = MARKS

REASON = "a loop published them, ticket 4410"
STATES = """async ([rows, now, limits]) => {
    const { stateAt } = await import("/static/concord/js/queue/state.js");
    return rows.map((row) => stateAt(row, now, limits));
}"""
ADDRESSES = """async (keys) => {
    const { queueAddress } = await import("/static/concord/js/ui.js");
    return keys.map(([store, name]) => new URL(queueAddress(store, name), location.href).href);
}"""
NAMES = ("orders:7", "a/b/c", "a//b", "../x", ".", "100%", "q?x#y", "ö:ß", "a&b=c", "it's", "x/")
BAD = "<img/src=x/onerror=alert(1)>"


def filled(number: int) -> Queue:
    """A real queue with so many messages; threads, since this one counts as inside a loop."""
    made = queue(f"page:{secrets.token_hex(5)}", using="redis")

    def fill() -> None:
        for start in range(0, number, 1_000):
            made.publish_many(range(start, min(number, start + 1_000)))
        connections.close_all()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(fill).result()
    return made


def ready(of: Queue) -> int:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(of.stats).result().ready


def test_the_list_follows_and_flashes_what_calls_for_somebody(
    web: Web, open_tab: OpenTab, transactional_db: None
) -> None:
    observe()
    row = record("emails", ready=3)
    flow(row, came=12, acked=11)
    with open_tab(web, queue_operator()) as page:
        live(page, "/queues/")
        shown = page.locator('tr[data-id="redis emails"]')
        expect(shown.locator("td.ps")).to_have_text("Flowing")
        expect(shown.locator(".flow")).to_have_count(1)
        again(row, ready=1_204, dead=37)
        expect(shown.locator("td.ps")).to_have_text("Dead letters")
        expect(shown).to_contain_text("1,204")
        expect(shown.locator("td.deadn")).to_have_text("37")
        expect(page.locator(".rail [data-rail=queues]")).to_contain_text("1")
        expect(page.locator('#facets a[data-key="dead"] .n')).to_have_text("1")


def test_a_sample_that_grows_old_says_nothing_of_now(
    web: Web, open_tab: OpenTab, transactional_db: None
) -> None:
    observe()
    record("emails", ready=3, seen_at=ago(QUEUE_SILENT_MS / 1000 - 4))
    with open_tab(web, queue_operator()) as page:
        live(page, "/queues/redis/emails")
        expect(page.locator("#pill")).to_have_text("Flowing")
        expect(page.locator("#pill")).to_have_text("Unknown")
        expect(page.locator("#sentence")).to_contain_text("Nobody has heard from its store")


def test_a_queue_is_told_live_on_its_page(
    web: Web, open_tab: OpenTab, transactional_db: None
) -> None:
    observe()
    row = record("emails", ready=3)
    with open_tab(web, queue_operator()) as page:
        live(page, "/queues/redis/emails")
        expect(page.locator("#redrive-open")).to_be_disabled()
        sent = letter(row, "550 no such user")
        in_flight(row, left_s=20)
        again(row, dead=1, in_flight=1)
        expect(page.locator("#letters tbody tr")).to_contain_text("550 no such user")
        expect(page.locator("#flight .lease")).to_have_count(1)
        expect(page.locator("#redrive-open")).to_be_enabled()
        again(row, consuming_paused=True)
        expect(page.locator("#pause-open")).to_be_hidden()
        expect(page.locator("#resume-open")).to_be_visible()
        expect(page.locator("#sentence")).to_contain_text("consuming is paused")
        page.locator("#letters a").click()
        live(page)
        expect(page.locator("h1")).to_contain_text(sent)
        expect(page.locator(".lifeline")).to_contain_text("Died")


def test_an_operator_purges_what_was_shown_when_the_dialog_was_opened(
    web: Web, open_tab: OpenTab, transactional_db: None
) -> None:
    observe()
    q = filled(450)
    row = record(q.name, ready=440)
    with open_tab(web, queue_operator()) as page:
        live(page, queue_address("redis", q.name))
        again(row, ready=445)
        expect(page.locator("#stats")).to_contain_text("445")
        page.locator("#purge-open").press("Enter")
        submit = page.locator("#purge-submit")
        expect(page.locator("#purge [data-close]:focus")).to_have_text("Cancel")
        expect(page.locator("#purge [data-confirm]")).to_have_text("445")
        expect(submit).to_have_text("Purge 445")
        again(row, ready=450)
        expect(page.locator("#stats")).to_contain_text("450")
        page.fill("#purge-confirm", "450")
        page.fill("#purge-reason", REASON)
        expect(submit).to_be_disabled()
        page.fill("#purge-confirm", "445")
        submit.click()
        expect(page.get_by_role("status").filter(has_text="445 purged")).to_be_visible()
        expect(page.locator("#sweeps")).to_contain_text(REASON)
    assert ready(q) == 5
    assert QueueSweep.objects.get().state == SweepState.DONE


def test_a_sweep_shows_how_far_it_is_and_is_stopped_from_the_page(
    web: Web, open_tab: OpenTab, transactional_db: None
) -> None:
    observe()
    row = record("emails", ready=1_000)
    ordered = sweep(row, Verb.MOVE, SweepState.RUNNING, done=200, at_most=1_000, to="slow")
    with open_tab(web, queue_operator()) as page:
        live(page, "/queues/redis/emails")
        bar = page.locator("#sweeping [role=progressbar]")
        expect(bar).to_have_attribute("aria-valuenow", "20")
        QueueSweep.objects.update(done=600, stepped_at=ago(0))
        expect(bar).to_have_attribute("aria-valuenow", "60")
        QueueSweep.objects.update(stepped_at=ago(40))
        expect(page.locator("#sweeping")).to_contain_text("as soon as a sweeper runs")
        page.locator("#sweeping button", has_text="Stop").click()
        expect(page.get_by_role("status").filter(has_text="Stopped: 600 of")).to_be_visible()
    ordered.refresh_from_db()
    assert (ordered.state, ordered.ended_by) == (SweepState.STOPPED, "quinn")


def test_who_may_only_look_is_offered_nothing(
    web: Web, open_tab: OpenTab, transactional_db: None
) -> None:
    observe()
    row = record("emails", ready=3, dead=2)
    sweep(row, Verb.PURGE, SweepState.RUNNING, done=1, at_most=3)
    with open_tab(web, viewer()) as page:
        live(page, "/queues/redis/emails")
        expect(page.locator("#sweeping [role=progressbar]")).to_be_visible()
        expect(page.locator("#sweeping button")).to_have_count(0)
        for deed in ("pause", "redrive", "move", "purge"):
            expect(page.locator(f"#{deed}-open")).to_be_disabled()
            assert "You need the permission" in (
                page.locator(f"#{deed}-open").get_attribute("title") or ""
            )


def test_names_and_errors_never_run(web: Web, open_tab: OpenTab, transactional_db: None) -> None:
    observe()
    row = record(BAD, ready=3, dead=1, disputed=BAD, options={"max_attempts": BAD})
    sent = letter(row, BAD)
    in_flight(row, left_s=20, node=BAD, taker=BAD)
    message(row, "waiting", error=BAD, group=BAD)
    sweep(row, Verb.MOVE, SweepState.STOPPED, done=1, at_most=3, to=BAD, error=BAD, reason=BAD)
    with open_tab(web, queue_operator()) as page:
        live(page, "/queues/")
        page.locator("#rows a").first.click()
        live(page)
        expect(page.locator("#letters")).to_contain_text(BAD)
        expect(page.locator("#sweeping")).to_contain_text(BAD)
        live(page, f"/message/redis/{sent}")
        expect(page.locator(".lifeline")).to_contain_text(BAD)
        live(page, "/")


def some_rows() -> list[QueueRow]:
    """Every mixture of what a queue's state is made of."""
    seens = (None, ago(1), ago(QUEUE_SILENT_MS / 1000 + 5))
    olds = (None, 2.0, BACKING_UP_MS / 1000 + 5)
    events = (None, ago(3), ago(QUEUE_BUSY_MS / 1000 + 5))
    mixed = itertools.product(seens, olds, events, (0, 2), (0, 5))
    fields: list[dict[str, Any]] = [
        {"seen_at": seen, "oldest_s": old, "event_at": event, "dead": dead, "ready": ready_}
        for seen, old, event, dead, ready_ in mixed
    ]
    fields += [
        {"publishing_paused": True},
        {"consuming_paused": True, "dead": 3},
        {"in_flight": 1, "event_at": None},
        {"disputed": "off", "seen_at": None},
    ]
    for i, each in enumerate(fields):
        record(f"x-{i:03}", **each)
    record("x.dlq", ready=4)
    return [QueueRow.read(row) for row in QueueRecord.objects.values()]


def test_scripts_decide_states_and_addresses_as_the_server_does(
    web: Web, open_tab: OpenTab, transactional_db: None
) -> None:
    observe()
    rows, at = some_rows(), now_ms()
    limits = {
        "queue_silent_ms": QUEUE_SILENT_MS,
        "queue_busy_ms": QUEUE_BUSY_MS,
        "backing_up_ms": BACKING_UP_MS,
    }
    keys = [["redis", name] for name in NAMES]
    with open_tab(web, viewer()) as page:
        live(page, "/queues/")
        wires = [row.wire() for row in rows]
        assert page.evaluate(STATES, [wires, at, limits]) == [row.state_at(at) for row in rows]
        found = page.evaluate(ADDRESSES, keys)
    for name, address in zip(NAMES, found, strict=True):
        assert unquote(address) == unquote(web.origin + queue_address("redis", name))
