"""The scripts of counters say the same as the server: states, bounds, rates, addresses, order."""

import itertools
from urllib.parse import unquote, urljoin

from coordination.counters.records import CounterRecord
from dashboard.addresses import counter_address
from dashboard.clock import now_ms
from dashboard.counter_rows import CounterRow
from dashboard.limits import COUNTING_MS
from dashboard.templatetags.counting import per_second, signed
from tests.browser.conftest import OpenTab
from tests.browser.pages import MARKS, live
from tests.browser.test_locks_scripts import NAMES
from tests.integration.dashboard_counters import record, waves
from tests.integration.dashboard_web import Web, viewer

pytestmark = MARKS

SAID = """async ([rows, now, limits]) => {
    const { boundsOf, rateAt, stateAt } = await import("/static/concord/js/counter/state.js");
    const { number, rate, signed } = await import("/static/concord/js/format.js");
    return rows.map((row) => [
        stateAt(row, now, limits), boundsOf(row, number), rate(rateAt(row.rates, now)),
        signed(row.value),
    ]);
}"""
ADDRESSES = """async (keys) => {
    const { counterAddress, nameOf } = await import("/static/concord/js/ui.js");
    return keys.map((key) => [
        new URL(counterAddress(key), location.href).href, nameOf("counter", key),
    ]);
}"""


def some_rows() -> list[CounterRow]:
    """Every mixture of bounds, age and what is known."""
    made = []
    bounds = (None, 0, 7)
    for index, (low, high, value, ago_s, gap) in enumerate(
        itertools.product(bounds, bounds, (-1_250, 0, 7), (2, 9.5, 11), (False, True))
    ):
        made.append(
            CounterRow.read(
                vars(
                    record(
                        f"n{index}",
                        value,
                        minimum=low,
                        maximum=high,
                        ago_s=ago_s,
                        gap=gap,
                        rates=waves(index % 9),
                        disputed="odd" if index % 11 == 0 else "",
                        last=None if index % 7 == 0 else {"kind": "counter.added"},
                    )
                )
            )
        )
    return made


def test_states_bounds_rates_and_amounts(
    web: Web, open_tab: OpenTab, transactional_db: None
) -> None:
    rows, at = some_rows(), now_ms()
    with open_tab(web, viewer()) as page:
        live(page, "/counters/")
        said = page.evaluate(SAID, [[row.wire() for row in rows], at, {"counting_ms": COUNTING_MS}])
    assert said == [
        [row.state_at(at), row.bounds, per_second(row.rate_at(at)), signed(row.value)]
        for row in rows
    ]


def test_addresses_lead_where_the_server_leads(
    web: Web, open_tab: OpenTab, transactional_db: None
) -> None:
    with open_tab(web, viewer()) as page:
        live(page, "/counters/")
        said = page.evaluate(ADDRESSES, [f"redis {name}" for name in NAMES])
        for name, (found, called) in zip(NAMES, said, strict=True):
            wanted = urljoin(page.url, counter_address("redis", name))
            assert (unquote(found), called) == (unquote(wanted), name)


def test_the_order_is_the_servers(web: Web, open_tab: OpenTab, transactional_db: None) -> None:
    for name in ("b", "a", "é", "Z", "a:1", "a-1", "10", "9"):
        record(name, 1, disputed="odd" if name == "9" else "")
        record(name, 1, store="zookeeper")
    rows = sorted(
        (CounterRow.read(vars(each)) for each in CounterRecord.objects.all()),
        key=lambda row: row.order,
    )
    with open_tab(web, viewer()) as page:
        live(page, "/counters/")
        shown = page.locator("#rows tr").evaluate_all("rows => rows.map((row) => row.dataset.id)")
    assert shown == [row.key for row in rows]
