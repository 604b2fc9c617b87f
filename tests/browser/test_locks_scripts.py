"""The scripts of locks say the same as the server: states, words, addresses, order."""

import itertools
from typing import Any

import pytest

from dashboard.addresses import key_address
from dashboard.clock import now_ms
from dashboard.limits import ENDING_MS, ENDING_SHARE
from dashboard.lock_rows import LockRow
from dashboard.words import LOCK_STATES, lock_word
from tests.browser.conftest import OpenTab
from tests.browser.pages import MARKS, live
from tests.integration.dashboard_locks import held, queued, record, wire
from tests.integration.dashboard_web import Web, viewer

pytestmark = MARKS

STATES = """async ([rows, now, limits, words]) => {
    const { stateAt, wordOf } = await import("/static/concord/js/lock/state.js");
    return rows.map((row) => {
        const state = stateAt(row, now, limits);
        return [state, wordOf(row, state, words[state][0])];
    });
}"""
ADDRESSES = """async (keys) => {
    const { lockAddress } = await import("/static/concord/js/ui.js");
    return keys.map((key) => new URL(lockAddress(key), location.href).href);
}"""
LANES = """async ([row, now, width]) => {
    const { layout, merged } = await import("/static/concord/js/lock/lanes.js");
    return layout({ row, grants: merged(row, []), refusals: [], now, windowMs: 120000, width });
}"""
GRAPH = """async (graph) => {
    const { layout } = await import("/static/concord/js/waits/layout.js");
    return layout(graph);
}"""
NAMES = ("order:7", "a/b/c", "a//b", "../x", ".", "100%", "q?x#y", "ö:ß", "a&b=c", "it's", "x/")


def some_rows() -> list[LockRow]:
    """Every mixture of who holds it, for how long still, and what is known of it."""
    made = []
    modes = (("exclusive", 1, "lock"), ("shared", 1, "lock"), ("permit", 5, "semaphore"))
    lefts = (-3.0, 0.4, 2.0, 4.9, 5.2, 27.0)
    states = ("held", "handed")
    for (mode, limit, kind), left_s, state, gap in itertools.product(
        modes, lefts, states, (False, True)
    ):
        fields: dict[str, Any] = {"mode": mode, "limit": limit, "state": state}
        holders = [held(f"o{i}", 7 + i, left_s=left_s, **fields) for i in range(2)]
        made.append(record("x", kind=kind, holders=holders, gap=gap))
    party = [queued("p", mode="party", limit=4)]
    made += [
        record("b", kind="barrier", waiters=party),
        record("b", kind="barrier"),
        record("f"),
        record("f", last_end="expired"),
        record("d", disputed="two at once", holders=[held("o", 7)]),
    ]
    return [LockRow.read(wire(each)) for each in made]


def test_states_and_words_are_the_server_s(web: Web, open_tab: OpenTab) -> None:
    rows, at = some_rows(), now_ms()
    limits = {"ending_ms": ENDING_MS, "ending_share": ENDING_SHARE}
    with open_tab(web, viewer()) as page:
        live(page, "/locks/")
        said = page.evaluate(STATES, [[row.wire() for row in rows], at, limits, LOCK_STATES])
    assert said == [
        [row.state_at(at).value, lock_word(row.state_at(at).value, row)] for row in rows
    ]


def test_addresses_are_the_server_s(web: Web, open_tab: OpenTab) -> None:
    keys = [f"redis lock {name}" for name in NAMES]
    with open_tab(web, viewer()) as page:
        live(page, "/locks/")
        said = page.evaluate(ADDRESSES, keys)
        theirs = page.evaluate(
            "(all) => all.map((each) => new URL(each, location.href).href)",
            [key_address(key) for key in keys],
        )
    decoded = [page_address.replace("%27", "'") for page_address in said]
    assert [unquoted(each) for each in decoded] == [unquoted(each) for each in theirs]


def unquoted(address: str) -> str:
    from urllib.parse import unquote

    return unquote(address)


@pytest.mark.parametrize("width", [420, 1_000])
def test_any_lock_can_be_drawn_within_its_width(web: Web, open_tab: OpenTab, width: int) -> None:
    with open_tab(web, viewer()) as page:
        live(page, "/locks/")
        pictures = [
            page.evaluate(LANES, [row.wire_full(), now_ms(), width]) for row in some_rows()[::5]
        ]
    for picture in pictures:
        assert all(0 <= bar["x"] <= bar["x"] + bar["width"] <= width for bar in picture["bars"])
        assert all(0 <= mark["x"] <= width for mark in picture["marks"])


def graph_of(waits: list[tuple[str, str]], cycles: list[list[int]]) -> dict[str, Any]:
    edges = [
        {
            "waiter": waiter,
            "holder": holder,
            "key": f"redis lock {i}",
            "name": f"lock-{i}",
            "waiter_owner": waiter,
            "holder_owner": holder,
            "since": 0,
            "token": "1",
            "any_of": False,
        }
        for i, (waiter, holder) in enumerate(waits)
    ]
    return {"edges": edges, "cycles": cycles, "behind": []}


@pytest.mark.parametrize(
    ("waits", "cycles"),
    [
        ([], []),
        ([("t:a", "t:a")], [[0]]),
        ([("t:a", "t:b"), ("t:b", "t:a")], [[0, 1]]),
        ([(f"t:{i}", f"t:{(i + 1) % 7}") for i in range(7)], [list(range(7))]),
        ([("t:a", "t:b"), ("t:b", "t:a"), ("t:c", "t:d"), ("t:d", "t:c")], [[0, 1], [2, 3]]),
        ([(f"t:{i}", "t:h") for i in range(100)], []),
        ([(f"t:{i}", f"t:{i + 1}") for i in range(30)], []),
    ],
    ids=["none", "self", "pair", "seven", "two-pairs", "hundred", "chain"],
)
def test_boxes_never_lie_on_one_another(
    web: Web, open_tab: OpenTab, waits: list[tuple[str, str]], cycles: list[list[int]]
) -> None:
    with open_tab(web, viewer()) as page:
        live(page, "/locks/")
        picture = page.evaluate(GRAPH, graph_of(waits, cycles))
    boxes = picture["boxes"]
    assert len(boxes) + picture["left"] == len({each for wait in waits for each in wait})
    for one, two in itertools.combinations(boxes, 2):
        apart = abs(one["x"] - two["x"]) >= 176 or abs(one["y"] - two["y"]) >= 44
        assert apart, (one, two)
    for box in boxes:
        assert 0 <= box["x"] <= picture["width"] - 176
        assert 0 <= box["y"] <= picture["height"] - 44
