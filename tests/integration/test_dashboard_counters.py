"""Counters on the dashboard: what the list finds, what a page says, and bad names."""

from http import HTTPStatus

import pytest
from django.urls import reverse
from django.utils.html import escape

from coordination import counter
from coordination.observing.records import Intervention
from dashboard.clock import now_ms
from dashboard.counter_rows import CounterState
from dashboard.filtering import COUNTERS, FilterError, parse
from dashboard.queries.counters import LIST, Cursor, cells, changes, counts, one
from dashboard.queries.overview import rail
from dashboard.templatetags.counting import counter_url
from tests.integration.dashboard_counters import (
    STORE,
    count,
    counter_operator,
    holds,
    observe,
    record,
    violate,
    waves,
)
from tests.integration.dashboard_web import make_user, signed_in, viewer

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "bank_a", "bank_b"])


def found(text: str) -> list[str]:
    rows, _ = LIST.first(parse(text, COUNTERS), now_ms=now_ms(), limit=50)
    return [row.name for row in rows]


@pytest.fixture
def several() -> None:
    record("busy", 12, ago_s=1, rates=waves(5))
    record("calm", 7, ago_s=60, store="zookeeper")
    record("empty", 0, minimum=0, ago_s=1)
    record("full", 9, minimum=0, maximum=9, ago_s=90)
    record("lost", 3, gap=True)
    record("unseen", 5, last=None, ago_s=1)
    record("wrong", -4, disputed="version 3 began at 9")


def test_each_filter_finds_what_it_names(several: None) -> None:
    page = signed_in(viewer()).get("/counters/")
    assert page.status_code == HTTPStatus.OK
    assert found("") == ["wrong", "busy", "calm", "empty", "full", "lost", "unseen"]
    assert found("state:counting") == ["busy"]
    assert found("state:still") == ["calm", "unseen"]
    assert found("state:at-bound") == ["empty", "full"]
    assert found("state:unknown") == ["lost"]
    assert found("state:disputed") == ["wrong"]
    assert found("value:<0") == ["wrong"]
    assert found("value:>=9") == ["busy", "full"]
    assert found("value:<=-4") == ["wrong"]
    assert found("store:zookeeper") == ["calm"]
    assert found("-store:redis name:c*") == ["calm"]
    assert found("name:f*,e*") == ["empty", "full"]
    assert found('"order-412"') == ["busy"]
    assert found("-order-412 state:counting") == []


def test_rows_and_query_agree_on_every_state(several: None) -> None:
    tallies = counts(now_ms())
    for state in CounterState:
        rows, _ = LIST.first(parse("", COUNTERS), now_ms=now_ms(), limit=50)
        mine = [row.name for row in rows if row.state_at(now_ms()) is state]
        assert tallies[state] == len(mine)
        assert found(f"state:{state}") == mine


@pytest.mark.parametrize("text", ["value:many", "value:=5", "state:held", "owner:me", "value:>"])
def test_a_filter_that_is_none_is_refused_with_words(text: str) -> None:
    with pytest.raises(FilterError):
        parse(text, COUNTERS)
    page = signed_in(viewer()).get(reverse("dashboard:counters"), {"q": text})
    assert page.status_code == HTTPStatus.OK
    assert 'id="filter-error"' in page.content.decode()


def test_pages_of_a_long_list_neither_repeat_nor_hide_a_row() -> None:
    for number in range(120):
        record(f"n{number:03}", number, disputed="odd" if number in (70, 90) else "")
    wanted, seen = parse("", COUNTERS), list[str]()
    page = LIST.page(wanted, now_ms=now_ms())
    while True:
        seen += [row.name for row in page.rows]
        if page.older is None:
            break
        page = LIST.page(wanted, now_ms=now_ms(), older=Cursor.parse(str(page.older)))
    back = LIST.page(wanted, now_ms=now_ms(), newer=page.newer)

    assert seen == ["n070", "n090", *(f"n{n:03}" for n in range(120) if n not in (70, 90))]
    assert [row.name for row in back.rows] == seen[50:100]


@pytest.mark.parametrize(
    "text", ["", "x", "2.redis a", "1.redis", "1.redis a\x00", "1." + "x" * 400]
)
def test_a_cursor_that_is_none_begins_the_list(text: str) -> None:
    assert Cursor.parse(text) is None


def test_a_page_tells_what_was_done_and_by_whom() -> None:
    stock = counter("stock/7:é", initial=10, minimum=0, using=STORE)
    stock.add(-3, op_id="order-1")
    stock.adjust(2, actor="ada", reason="two came <back>", op_id="mend")
    observe()
    page = signed_in(viewer()).get("/counters/database/stock/7:é").content.decode()

    assert one("database stock/7:é") is not None
    assert [(each.version, each.amount, each.actor) for each in changes("database stock/7:é")] == [
        (2, 2, "ada"),
        (1, -3, ""),
    ]
    assert "order-1" in page
    assert "<back>" not in page
    assert "You need the permission coordination.change_counterrecord" in page
    assert "You need the permission coordination.delete_counterrecord" in page


def test_a_counter_in_several_rows_has_one_page_with_their_sum() -> None:
    hot = counter("hot", initial=100, shards=4, using=STORE)
    hot.add_many([(1, f"op-{number}") for number in range(20)])
    observe()
    row = one("database hot")
    assert row is not None
    assert (row.value, row.version) == (120, 20)
    assert sum(cell.value for cell in cells("database hot")) == 120
    assert len(changes("database hot")) == 20
    assert found("") == ["hot"]
    client = signed_in(viewer())
    assert client.get("/counters/database/hot").status_code == HTTPStatus.OK
    assert client.get("/counters/database/hot%201").status_code == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("name", ["..", "a/../b", "a//b", "-", "x" * 200, "'\"<b>", "%2F"])
def test_odd_names_have_pages(name: str) -> None:
    record(name, 4)
    row = one(f"redis {name}")
    assert row is not None
    client = signed_in(viewer())
    listed = client.get("/counters/").content.decode()
    address = counter_url(row)
    assert escape(address) in listed
    assert client.get(address).status_code == HTTPStatus.OK


def test_a_counter_of_which_no_change_was_seen_has_a_page() -> None:
    record("unseen", 5, last=None)
    page = signed_in(viewer()).get("/counters/redis/unseen")
    assert "None was seen." in page.content.decode()


def test_a_counter_nobody_knows_is_not_found() -> None:
    client = signed_in(viewer())
    for address in ("/counters/redis/none", "/counters/redis/", "/counters/redis/?name=%00"):
        assert client.get(address).status_code == HTTPStatus.NOT_FOUND


def test_who_may_not_look_sees_nothing() -> None:
    record("a", 1)
    stranger = signed_in(make_user("nobody"))
    for address in ("/counters/", "/counters/redis/a"):
        assert stranger.get(address).status_code == HTTPStatus.FORBIDDEN


def test_a_violation_is_on_the_overview_the_verdict_and_its_counter() -> None:
    holds()
    count("a", 1, 2)
    violate("database a", "version 3 began at 40")
    client = signed_in(counter_operator())
    for address in ("/", "/verdicts/counter_history/", "/counters/database/a"):
        page = client.get(address).content.decode()
        assert "version 3 began at 40" in page
    assert "/counters/database/a" in client.get("/verdicts/counter_history/").content.decode()
    assert rail(now_ms())["miscounted"] == 1


def test_what_was_done_by_hand_is_on_the_overview() -> None:
    counter("a", using=STORE).adjust(5, actor="ada", reason="five were forgotten")
    observe()
    page = signed_in(viewer()).get("/").content.decode()
    assert Intervention.objects.get().name == "database a"
    assert "five were forgotten" in page
    assert "/counters/database/a" in page


def test_the_box_finds_a_counter_by_name() -> None:
    record("only:one", 1)
    record("some:1", 1)
    record("some:2", 1)
    client = signed_in(viewer())
    assert client.get("/find", {"q": "only:one"}).url == "/counters/redis/only:one"
    assert client.get("/find", {"q": "some:"}).url == "/counters/?q=some%3A"
