"""The page's scripts as modules: all load under the policy; the reducer is the observer's twin."""

import json

from hypothesis import HealthCheck, Phase, given, settings
from playwright.sync_api import Page

from coordination.transactions import projection
from dashboard import assets
from dashboard.events import EventRow
from dashboard.rows import BranchRow, epoch_ms
from tests.browser.conftest import OpenTab
from tests.browser.pages import MARKS
from tests.integration.dashboard_web import Web, viewer
from tests.unit.transaction_histories import histories

pytestmark = MARKS

HISTORIES = 150
FOLD = """async ([stories, address]) => {
    const { fold } = await import(address);
    return stories.map((events) => events.map((_, i) => fold(events.slice(0, i + 1))));
}"""
LAYOUT = """async ([stories, address]) => {
    const { layout } = await import(address);
    const draw = (events, width) => layout(events, width, events.at(-1).at + 60000);
    return stories.flatMap((events) => [280, 1000].map((width) => draw(events, width)));
}"""
BRANCH = {
    "seq",
    "participant",
    "using",
    "mode",
    "form",
    "vote",
    "reason",
    "actual",
    "attempts",
    "error",
}


def some_histories() -> list:
    """The same many histories in every run."""
    found: list = []

    @settings(
        max_examples=HISTORIES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(histories())
    def collect(history: list) -> None:
        found.append(history)

    collect()
    return found


def wire(history: list) -> list[dict]:
    rows = (
        EventRow(
            seq=event.version,
            kind=event.kind,
            object=event.object,
            name=event.name,
            version=event.version,
            at_ms=epoch_ms(event.at) or 0,
            node=event.node,
            actor="",
            data=event.data,
        )
        for event in history
    )
    return [row.wire() for row in rows]


def evaluate(page: Page, script: str, histories_: list, module: str):
    address = f"/static/concord/js/transaction/{module}.js"
    return page.evaluate(script, [[wire(history) for history in histories_], address])


def test_every_module_loads_in_the_page(web: Web, open_tab: OpenTab) -> None:
    names = [name for name in assets.modules() if "/pages/" not in name and "theme" not in name]
    assert len(names) > 10
    with open_tab(web, viewer()) as page:
        page.goto("/")
        for name in names:
            page.evaluate("async (address) => { await import(address); }", f"/static/{name}")


def test_the_reducer_agrees_with_the_projection_at_every_event(web: Web, open_tab: OpenTab) -> None:
    stories = [
        h
        for h in some_histories()
        if all("attempt" in e.data for e in h if e.kind == "branch.sent")
    ]
    assert len(stories) > 20
    with open_tab(web, viewer()) as page:
        page.goto("/")
        folded = evaluate(page, FOLD, stories, "reducer")
    for history, states in zip(stories, folded, strict=True):
        record = None
        for event, state in zip(history, states, strict=True):
            record = projection.apply(record, event)
            row = record.as_row()
            assert state["state"] == row["state"], json.dumps(wire(history))
            assert (state["outcome"], state["heuristic"]) == (row["outcome"], row["heuristic"])
            assert state["version"] == row["version"]
            for ours, theirs in zip(state["branches"], row["branches"], strict=True):
                assert {key: ours[key] for key in BRANCH} == {key: theirs[key] for key in BRANCH}
                expected = BranchRow.read(theirs)
                assert (ours["voted"], ours["finished"], ours["phase"]) == (
                    expected.voted_ms,
                    expected.finished_ms,
                    expected.phase,
                )


def test_every_history_can_be_drawn_within_its_width(web: Web, open_tab: OpenTab) -> None:
    stories = some_histories()
    with open_tab(web, viewer()) as page:
        page.goto("/")
        pictures = evaluate(page, LAYOUT, stories, "layout")
    for picture in pictures:
        places = [bar["x"] for bar in picture["bars"]] + [
            arrow["x2"] for arrow in picture["arrows"]
        ]
        assert all(place is not None and 0 <= place <= picture["end"] for place in places)
        assert all(bar["width"] >= 3 for bar in picture["bars"])
        labels = [tick["x"] for tick in picture["ticks"]]
        assert labels == sorted(labels)
