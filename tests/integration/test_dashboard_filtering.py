"""The filter language, and that the database and the feed read it the same way."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.filtering import KEYS, STATES, Filter, FilterError, parse
from dashboard.limits import FILTER_CHARS, FILTER_TERMS, PAGE_ROWS
from dashboard.queries import transactions
from dashboard.queries.transactions import Cursor
from tests.integration.dashboard_stories import (
    Story,
    applying,
    heuristic,
    in_doubt,
    many,
    observe,
)

FILTERS = (
    "",
    "state:in_doubt",
    "state:voting",
    "-state:in_doubt",
    "-state:committed",
    "state:committed,aborted",
    "state:heuristic",
    "name:bank.*",
    "name:bank.send_payment",
    "-name:*.send_*",
    "name:a?b",
    "protocol:2pc",
    "-protocol:2pc",
    "outcome:none",
    "outcome:committed,none",
    "-outcome:aborted",
    "participant:bank.a.*",
    "participant:*.deposit -outcome:committed",
    "node:bank",
    "age:>30s",
    "age:<1s",
    "-age:>1m state:applying,in_doubt",
    '"insufficient"',
    "INSUFFICIENT",
    '"100%_"',
    '"order:88197"',
)


def now_ms() -> int:
    return int(time.time() * 1000)


def every_row(wanted: Filter) -> list[str]:
    """All pages of a list, walked by its cursors."""
    gids: list[str] = []
    older: Cursor | None = None
    while True:
        page = transactions.LIST.page(wanted, now_ms=now_ms(), older=older)
        gids += [row.gid for row in page.rows]
        older = page.older
        if older is None:
            return gids


@pytest.mark.parametrize("text", FILTERS)
def test_a_filter_is_equal_to_its_own_text(text: str) -> None:
    wanted = parse(text)
    assert parse(str(wanted)) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stat:voting", "Did you mean “state”?"),
        ("state:votng", "Did you mean “voting”?"),
        ("state:", "needs a value"),
        ("state:,", "needs a value"),
        ("outcome:maybe", "no outcome"),
        ("age:30s", "age:>30s"),
        ("age:>old", "age:>30s"),
        ('"open', "not closed"),
        ("a\x00b", "cannot be printed"),
        ("x" * (FILTER_CHARS + 1), str(FILTER_CHARS)),
        ("a " * (FILTER_TERMS + 1), str(FILTER_TERMS)),
    ],
)
def test_a_wrong_filter_says_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(FilterError, match=said.replace("?", r"\?")):
        parse(text)


@given(st.text(max_size=80))
def test_any_text_is_a_filter_or_an_error_and_nothing_else(text: str) -> None:
    try:
        wanted = parse(text)
    except FilterError:
        return
    assert parse(str(wanted)) == wanted


def test_the_words_of_the_language() -> None:
    assert KEYS == ("state", "name", "protocol", "outcome", "participant", "node", "age")
    assert "in_doubt" in STATES


@pytest.mark.django_db(transaction=True, databases=["default", "bank_a", "bank_b"])
def test_database_and_memory_agree_on_every_filter() -> None:
    odd = Story(("a.b", "bank_a"), name="a*b 100%_", ago_s=3, key="order:88197").committed()
    observe(*many(12), in_doubt(), applying(), heuristic(), Story(ago_s=2), odd)
    rows = transactions.LIST.first(Filter(), now_ms=now_ms(), limit=100)[0]
    assert len(rows) == 17

    for text in FILTERS:
        wanted = parse(text)
        expected = [row.gid for row in rows if wanted.matches(row, now_ms())]
        assert every_row(wanted) == expected, text


@pytest.mark.django_db(transaction=True, databases=["default", "bank_a", "bank_b"])
def test_pages_walked_forth_and_back_show_every_row_once() -> None:
    observe(*many(2 * PAGE_ROWS + 7), *(Story(ago_s=30 + i) for i in range(PAGE_ROWS + 3)))
    everything = Filter()
    forth = every_row(everything)
    last = Cursor.of(transactions.LIST.first(everything, now_ms=now_ms(), limit=200)[0][-1])
    back: list[str] = [last.gid]
    newer: Cursor | None = last
    while newer is not None:
        page = transactions.LIST.page(everything, now_ms=now_ms(), newer=newer)
        back = [row.gid for row in page.rows] + back
        newer = page.newer

    assert len(forth) == len(set(forth)) == 3 * PAGE_ROWS + 10
    assert back == forth
