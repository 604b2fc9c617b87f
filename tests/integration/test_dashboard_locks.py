"""The pages of locks: what they show, who may act, and that an action falls on whom was shown."""

import re
from datetime import timedelta
from http import HTTPStatus

import pytest
from django.test import Client

from coordination.locks.records import LockDeadlock, LockRecord, LockRefusal
from coordination.observing.records import Verdict, Violation
from dashboard.addresses import lock_address
from dashboard.clock import now_ms
from dashboard.filtering import LOCK_KEYS, LOCK_STATES, LOCKS, parse
from dashboard.limits import PAGE_ROWS
from dashboard.queries import locks
from dashboard.queries.locks import Cursor
from tests.integration.dashboard_locks import (
    claim,
    grant,
    held,
    lock_operator,
    now,
    queued,
    record,
    save,
)
from tests.integration.dashboard_stories import Story, observe
from tests.integration.dashboard_web import make_user, signed_in, viewer

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "bank_a", "bank_b"])

ODD_NAMES = (
    "a/b/c",
    "a//b",
    "../secret",
    "100%",
    "q?x#y",
    "ö:ß",
    "<script>alert(1)</script>",
    '"x"',
)


def some_of_each() -> dict[str, LockRecord]:
    """One lock in each state that there is."""
    at = now()
    made = {
        "disputed": record("d", holders=[held("a", 5)], disputed="two held it at once"),
        "held": record("h", holders=[held("a", 6)], waiters=[queued("w"), queued("x")]),
        "handed": record("o", holders=[held("a", 7, state="handed")]),
        "ending": record("e", holders=[held("a", 8, ago_s=28, left_s=2)], waiters=[queued("w")]),
        "ran_out": record("r", holders=[held("a", 9, ago_s=40, left_s=-10)]),
        "unknown": record("u", holders=[held("billing-2", 10)], gap=True),
        "free": record("f", changed_at=at),
        "expired": record("x", last_end="expired"),
        "short": record("s", holders=[held("a", 11, ago_s=0.1, left_s=3)]),
    }
    save(*made.values())
    return made


def test_a_lock_is_in_the_state_its_row_and_the_clock_say() -> None:
    some_of_each()
    found = {
        row.name: row.state_at(now_ms()).value
        for row in locks.LIST.page(parse(""), now_ms=now_ms()).rows
    }
    assert found == {
        "d": "disputed",
        "h": "held",
        "o": "handed",
        "e": "ending",
        "r": "ran_out",
        "u": "unknown",
        "f": "free",
        "x": "ran_out",
        "s": "held",
    }


def test_the_database_counts_states_as_the_rows_say_them() -> None:
    some_of_each()
    at = now_ms()
    counts = locks.counts(at)
    rows = locks.LIST.page(parse(""), now_ms=at).rows
    assert {state: counts[state] for state in LOCK_STATES} == {
        state: sum(row.state_at(at) == state for row in rows) for state in LOCK_STATES
    }
    assert counts["queued"] == 2


FILTERS = (
    *("", *(f"state:{state}" for state in LOCK_STATES), "-state:held", "state:held,free"),
    *("name:?", "name:d,h", "-name:d", "owner:a", "owner:b*", "-owner:a", "queue:>0", "queue:>=2"),
    *("queue:<1", "queue:<=1", "-queue:>0", "store:redis", "-store:redis", "kind:lock,semaphore"),
    *("w", '"billing-2"', '"THREAD:A"', "state:held queue:>1 owner:*"),
)


@pytest.mark.parametrize("text", FILTERS)
def test_the_database_and_the_feed_read_a_filter_the_same_way(text: str) -> None:
    some_of_each()
    wanted, at = parse(text, LOCKS), now_ms()
    every, _ = locks.LIST.first(parse(""), now_ms=at, limit=100)
    found, _ = locks.LIST.first(wanted, now_ms=at, limit=100)
    assert [row.key for row in found] == [row.key for row in every if wanted.matches(row, at)]


@pytest.mark.parametrize("query", ["stat:x", "queue:many", "kind:mutex", "state:open", "age:>3s"])
def test_an_invalid_filter_keeps_the_page_and_offers_a_way_out(query: str) -> None:
    answer = signed_in(viewer()).get("/locks/", {"q": query})
    assert answer.status_code == HTTPStatus.OK
    assert "Clear the filter" in answer.content.decode()


def test_every_key_is_named_by_the_filters_of_this_test() -> None:
    assert all(any(f"{key}:" in text for text in FILTERS) for key in LOCK_KEYS)


def test_the_list_is_disputed_first_then_longest_queue_then_by_name_and_pages_keep_that() -> None:
    waiters = [queued(f"w-{i}") for i in range(3)]
    save(
        *(record(f"n-{i:03}", waiters=waiters[: i % 3]) for i in range(PAGE_ROWS * 2 + 7)),
        record("zz", disputed="two at once"),
        record("n-000", kind="semaphore"),
    )
    expected = [
        row.key
        for row in sorted(
            locks.several(list(LockRecord.objects.values_list("key", flat=True))).values(),
            key=lambda row: row.order,
        )
    ]
    forward: list[str] = []
    older: Cursor | None = None
    while True:
        page = locks.LIST.page(parse(""), now_ms=now_ms(), older=older)
        forward += [row.key for row in page.rows]
        if page.older is None:
            break
        older = Cursor.parse(str(page.older))
    assert forward == expected
    assert forward[0].endswith(" zz")

    newer = page.newer
    backward = list(page.rows)
    while newer is not None:
        page = locks.LIST.page(parse(""), now_ms=now_ms(), newer=newer)
        backward = [*page.rows, *backward]
        newer = page.newer
    assert [row.key for row in backward] == expected


@pytest.mark.parametrize("cursor", ["x", "1.1", "1.99999999999.redis lock a", "0.1.\x00 a b"])
def test_a_broken_cursor_shows_the_first_page(cursor: str) -> None:
    save(record("a"))
    answer = signed_in(viewer()).get("/locks/", {"older": cursor})
    assert answer.context["live"] is True


def test_every_page_of_locks_asks_for_the_permission() -> None:
    save(record("a"))
    nobody, someone = signed_in(make_user("nobody")), signed_in(viewer())
    for address in ("/locks/", "/locks/redis/lock/a", "/waits/", "/find?q=a"):
        assert Client().get(address)["Location"].startswith("/login/?next=")
        assert nobody.get(address).status_code == HTTPStatus.FORBIDDEN
        assert someone.get(address).status_code in {HTTPStatus.OK, HTTPStatus.FOUND}


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_lock_of_any_name_has_a_page_that_shows_it_as_text(name: str) -> None:
    made = record(name, holders=[held(name, 7, context=name)], waiters=[queued(name)])
    save(made)
    grant(made, 7, name, ago_s=3)
    address = lock_address("redis", "lock", name)
    answer = signed_in(lock_operator()).get(address)
    text = answer.content.decode()
    assert answer.status_code == HTTPStatus.OK
    assert answer.context["row"].name == name
    assert not re.search(r"<script>alert", text)
    assert address.replace("&", "&amp;") in signed_in(viewer()).get("/locks/").content.decode()


def test_an_unknown_lock_is_404() -> None:
    client = signed_in(viewer())
    for address in ("/locks/redis/lock/none", "/locks/redis/lock/", "/locks/mars/lock/a"):
        assert client.get(address).status_code == HTTPStatus.NOT_FOUND


def test_the_page_of_a_lock_shows_holder_queue_grants_and_refusals() -> None:
    made = record("order:7", holders=[held("web-3", 1795435263112207)], waiters=[queued("web-1")])
    save(made)
    grant(made, 1795435261808870, "web-5", ago_s=9, ended_at=now(), ended="forced", actor="otto")
    LockRefusal.objects.create(
        key=made.key,
        at=now(),
        what="shop.Order 7",
        token=1795435261808870,
        newer=1795435263112207,
        owner="web-5",
    )
    text = signed_in(viewer()).get("/locks/redis/lock/order:7").content.decode()
    for said in (
        "web-3",
        "1795435263112207",
        "web-1",
        "Taken away",
        "Stale write",
        'wrote <span class="mono">shop.Order 7</span> with token …',
        "had written. Nothing changed.",
        "1, first come",
    ):
        assert said in text


def test_a_semaphore_and_a_barrier_have_pages_too() -> None:
    permits = [held(f"w-{i}", 10 + i, mode="permit", limit=5) for i in range(3)]
    parties = [queued(f"p-{i}", mode="party", limit=4) for i in range(2)]
    save(
        record("api", kind="semaphore", holders=permits),
        record("phase", kind="barrier", waiters=parties),
    )
    client = signed_in(viewer())
    assert "Held, 3 of 5" in client.get("/locks/redis/semaphore/api").content.decode()
    assert "p-1" in client.get("/locks/redis/barrier/phase").content.decode()
    assert "w-0 +2" in client.get("/locks/").content.decode()


def test_the_wait_for_page_names_a_cycle_and_what_is_stuck_behind_it() -> None:
    save(
        record("stock:7", holders=[held("web-1", 1)], waiters=[queued("web-2"), queued("web-3")]),
        record("stock:8", holders=[held("web-2", 2)], waiters=[queued("web-1")]),
    )
    LockDeadlock.objects.create(
        at=now(),
        cycle=[
            {
                "context": "c-1",
                "owner": "o",
                "waits_for": "redis lock stock:9",
                "held_by": "c-2",
                "since": (now() - timedelta(seconds=3)).isoformat(),
            }
        ],
        victim="c-1",
        rule="youngest",
    )
    client = signed_in(viewer())
    answer = client.get("/waits/")
    text = answer.content.decode()
    assert "2 wait for each other: none of them can go on." in text
    assert len(answer.context["found"].cycles) == 1
    assert answer.context["found"].behind == {"thread:web-3:1"}
    assert "youngest" in text
    assert answer.context["rail"]["deadlocks"] == 1
    assert "stock:9" in text


def test_without_waits_the_page_says_so() -> None:
    assert "Nobody waits for anybody." in signed_in(viewer()).get("/waits/").content.decode()


def test_mutual_exclusion_has_a_tile_and_a_page_once_it_is_checked() -> None:
    client = signed_in(viewer())
    assert "Mutual exclusion" not in client.get("/").content.decode()
    Verdict.objects.create(
        name="atomicity", state="HOLDS", checked=5, period_s=60.0, checked_at=now()
    )
    Verdict.objects.create(
        name="mutual_exclusion",
        state="HOLDS",
        checked=412,
        period_s=60.0,
        checked_at=now(),
        evidence={"overlaps": 0, "stale_writes_refused": 3},
    )
    assert "Every promise holds" in client.get("/").content.decode()
    text = client.get("/verdicts/mutual_exclusion/").content.decode()
    assert "All 412 grants were compared" in text
    assert "Stale writes refused" in text
    Verdict.objects.filter(name="mutual_exclusion").update(state="VIOLATED", violations=1)
    Violation.objects.create(
        verdict="mutual_exclusion",
        gid="redis lock ledger:eu-7",
        kind="overlap",
        sentence="two held it",
    )
    overview = client.get("/").content.decode()
    assert "A promise is broken" in overview
    assert "1 open violations of mutual exclusion" in overview
    assert "/locks/redis/lock/ledger:eu-7" in overview
    assert (
        "/locks/redis/lock/ledger:eu-7"
        in client.get("/verdicts/mutual_exclusion/").content.decode()
    )


def test_find_goes_to_the_one_thing_or_to_the_list_that_has_it() -> None:
    story = Story().committed()
    observe(story)
    save(record("order:7"), record("order:8"), record("twice"), record("twice", kind="semaphore"))
    client = signed_in(viewer())
    for text, address in (
        (story.gid, f"/transactions/{story.gid}/"),
        ("order:7", "/locks/redis/lock/order:7"),
        ('"order:"', "/locks/?q=%22order%3A%22"),
        ("twice", "/locks/?q=twice"),
        ("bank", "/transactions/?q=bank"),
        ("nothing-like-it", "/transactions/?q=nothing-like-it"),
        ("queue:>0", "/transactions/?q=queue%3A%3E0"),
        ("", "/transactions/"),
    ):
        assert client.get("/find", {"q": text})["Location"] == address, text


def test_claims_of_an_older_writer_are_read() -> None:
    bare = {"owner": "x", "token": 3, "since": now().isoformat()}
    save(record("bare", holders=[claim("x", token=3)]))
    LockRecord.objects.update(holders=[bare], until=None)
    assert signed_in(viewer()).get("/locks/redis/lock/bare").status_code == HTTPStatus.OK
