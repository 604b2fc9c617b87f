"""The live feed of counters: what sockets are told, and what only the records can tell."""

from collections.abc import Callable
from typing import Any

import pytest

from coordination import counter
from coordination.counters.records import CounterRecord
from tests.integration import dashboard_web
from tests.integration.dashboard_counters import STORE, count, observe, record
from tests.integration.dashboard_socket import tab
from tests.integration.dashboard_web import Web, session_of, viewer
from tests.integration.test_dashboard_locks_feed import Kept

web, settled = dashboard_web.web, dashboard_web.settled

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "bank_a", "bank_b"]),
    pytest.mark.usefixtures("settled"),
]


@pytest.fixture
def session(transactional_db: None) -> str:
    return session_of(viewer())


def until(kept: Kept, done: Callable[[dict[str, Any]], bool]) -> None:
    """Take in frames until the rows are as wanted."""
    while not done(kept.rows):
        kept.step()


def test_a_list_follows_every_change(web: Web, session: str) -> None:
    count("a", 1)
    with tab(web, session) as client:
        kept = Kept(client, "counters", filter="")
        assert kept.rows["database a"]["value"] == 1
        count("a", 5)
        count("b", 2)
        until(kept, lambda rows: "database b" in rows and rows["database a"]["value"] == 6)
        assert kept.rows["database a"]["last"]["after"] == 6


def test_time_alone_moves_a_counter_from_counting_to_still(web: Web, session: str) -> None:
    record("a", 3, ago_s=6)
    with tab(web, session) as client:
        kept = Kept(client, "counters", filter="state:counting")
        assert list(kept.rows) == ["redis a"]
        until(kept, lambda rows: not rows)


def test_a_counter_in_several_rows_is_one_line_with_their_sum(web: Web, session: str) -> None:
    hot = counter("hot", initial=10, shards=4, using=STORE)
    hot.add(1, op_id="first")
    observe()
    with tab(web, session) as client:
        kept = Kept(client, "counters", filter="")
        assert list(kept.rows) == ["database hot"]
        hot.add_many([(1, f"op-{number}") for number in range(20)])
        observe()
        until(kept, lambda rows: rows["database hot"]["value"] == 31)
        assert list(kept.rows) == ["database hot"]


def test_the_page_of_a_counter_is_told_its_history(web: Web, session: str) -> None:
    count("a", 1, 2)
    with tab(web, session) as client:
        kept = Kept(client, "counter:database a")
        assert [each["version"] for each in kept.agg["changes"]] == [2, 1]
        counter("a", using=STORE).adjust(4, actor="ada", reason="four were forgotten")
        observe()
        until(kept, lambda rows: rows["database a"]["value"] == 7)
        while len(kept.agg["changes"]) < 3:
            kept.step()
        assert kept.agg["changes"][0]["actor"] == "ada"


def test_a_dispute_reaches_an_open_page_though_it_is_no_event(web: Web, session: str) -> None:
    count("a", 1)
    with tab(web, session) as client:
        kept = Kept(client, "counter:database a")
        CounterRecord.objects.filter(name="a").update(disputed="version 2 began at 9")
        until(kept, lambda rows: rows["database a"]["disputed"] == "version 2 began at 9")


def test_a_counter_nobody_knows_yet_appears_when_it_is_counted(web: Web, session: str) -> None:
    with tab(web, session) as client:
        kept = Kept(client, "counter:database new")
        assert kept.rows == {}
        count("new", 3)
        until(kept, lambda rows: rows.get("database new", {}).get("value") == 3)
