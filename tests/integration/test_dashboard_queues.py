"""The pages of queues: what they show, how the list reads, and what cannot be shown is said."""

import re
from collections.abc import Callable
from http import HTTPStatus

import pytest
from django.test import Client

from coordination import queue
from coordination.queues.records import QueueRecord
from coordination.queues.sweeps.tables import SweepState, Verb
from dashboard.addresses import message_address, queue_address
from dashboard.clock import now_ms
from dashboard.filtering import QUEUE_KEYS, QUEUE_STATES, QUEUES, parse
from dashboard.limits import PAGE_ROWS, RATE_BUCKETS, SPARK_BUCKETS
from dashboard.queries import queue as one_queue
from dashboard.queries import queues
from dashboard.queries.queues import Cursor
from tests import queue_stores
from tests.databases import ALIASES, _django_db_helper
from tests.integration import frozen_redis
from tests.integration.dashboard_queues import (
    ago,
    emptied,
    flow,
    in_flight,
    letter,
    message,
    now,
    queue_operator,
    record,
    step,
    sweep,
)
from tests.integration.dashboard_web import make_user, signed_in, viewer

__all__ = ["_django_db_helper", "emptied"]

freeze_redis = frozen_redis.freeze_redis
rabbitmq_queues = queue_stores.rabbitmq_queues

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=ALIASES),
    pytest.mark.usefixtures("emptied"),
]

ODD_NAMES = (
    *("a/b/c", "a//b", "../secret", "100%", "q?x#y", "ö:ß", '"x"'),
    "<script>alert(1)</script>",
)
STATES = {
    "d": "disputed",
    "u": "unknown",
    "never": "unknown",
    "p": "paused",
    "c": "paused",
    "l": "dead",
    "b": "backing_up",
    "f": "flowing",
    "t": "flowing",
    "lately": "flowing",
    "i": "idle",
    "l.dlq": "letters",
}


def some_of_each() -> None:
    """One queue in each state that there is."""
    record("d", disputed="3 messages are nowhere", dead=4)
    record("u", seen_at=ago(60), ready=5)
    record("never", seen_at=None, sampled_at=None)
    record("p", publishing_paused=True, dead=2)
    record("c", consuming_paused=True, ready=900, oldest_s=900)
    record("l", dead=3, store="database")
    record("b", ready=40, oldest_s=45)
    record("f", ready=4, oldest_s=2)
    record("t", in_flight=2, event_at=ago(900))
    record("lately", event_at=ago(20))
    record("i", delayed=3, event_at=ago(900))
    record("l.dlq", ready=3, oldest_s=900, store="database")


def test_a_queue_is_in_the_state_its_row_and_the_clock_say() -> None:
    some_of_each()
    at = now_ms()
    found = queues.LIST.page(parse(""), now_ms=at).rows
    assert {row.name: row.state_at(at).value for row in found} == STATES


def test_the_database_counts_states_as_the_rows_say_them() -> None:
    some_of_each()
    at = now_ms()
    rows = queues.LIST.page(parse(""), now_ms=at).rows
    assert queues.counts(at) == {
        state: sum(row.state_at(at) == state for row in rows) for state in QUEUE_STATES
    }


FILTERS = (
    *("", *(f"state:{state}" for state in QUEUE_STATES), "-state:flowing", "state:backing-up,idle"),
    *("name:?", "name:l*", "-name:d", "store:database", "-store:database"),
    *("dead:>0", "dead:<3", "-dead:>=3", "ready:>4", "ready:<=4", "l", '"DATABASE L"'),
    "state:dead dead:>2 store:database",
)


@pytest.mark.parametrize("text", FILTERS)
def test_the_database_and_the_rows_read_a_filter_the_same_way(text: str) -> None:
    some_of_each()
    wanted, at = parse(text, QUEUES), now_ms()
    every, _ = queues.LIST.first(parse(""), now_ms=at, limit=100)
    found, _ = queues.LIST.first(wanted, now_ms=at, limit=100)
    assert [row.key for row in found] == [row.key for row in every if wanted.matches(row, at)]


def test_every_key_is_named_by_the_filters_of_this_test() -> None:
    assert all(any(f"{key}:" in text for text in FILTERS) for key in QUEUE_KEYS)


@pytest.mark.parametrize("query", ["stat:x", "dead:many", "state:open", "age:>3s", "queue:>1"])
def test_an_invalid_filter_keeps_the_page_and_offers_a_way_out(query: str) -> None:
    answer = signed_in(viewer()).get("/queues/", {"q": query})
    assert answer.status_code == HTTPStatus.OK
    assert "Clear the filter" in answer.content.decode()


def test_the_list_puts_what_needs_somebody_first_and_pages_keep_that() -> None:
    for i in range(PAGE_ROWS * 2 + 7):
        name = f"n-{i:03}"
        record(f"{name}.dlq" if i % 5 == 0 else name, dead=i % 3 == 0)
    record("zz", disputed="it does not add up")
    record("n-001", store="database")
    rows = queues.LIST.first(parse(""), now_ms=now_ms(), limit=1_000)[0]
    expected = [row.key for row in sorted(rows, key=lambda row: row.order)]
    forward: list[str] = []
    older: Cursor | None = None
    while True:
        page = queues.LIST.page(parse(""), now_ms=now_ms(), older=older)
        forward += [row.key for row in page.rows]
        if page.older is None:
            break
        older = Cursor.parse(str(page.older))
    assert forward == expected
    assert forward[0] == "redis zz"

    newer, backward = page.newer, list(page.rows)
    while newer is not None:
        page = queues.LIST.page(parse(""), now_ms=now_ms(), newer=newer)
        backward, newer = [*page.rows, *backward], page.newer
    assert [row.key for row in backward] == expected


@pytest.mark.parametrize("cursor", ["x", "1.1", "9.redis a", "0.redis \x00a"])
def test_a_broken_cursor_shows_the_first_page(cursor: str) -> None:
    record("a")
    assert signed_in(viewer()).get("/queues/", {"older": cursor}).context["live"] is True


def test_every_page_of_queues_asks_for_the_permission() -> None:
    made = record("a")
    sent = message(made, "waiting")
    nobody, someone = signed_in(make_user("nobody")), signed_in(viewer())
    for address in ("/queues/", "/queues/redis/a", message_address("redis", sent.message)):
        assert Client().get(address)["Location"].startswith("/login/?next=")
        assert nobody.get(address).status_code == HTTPStatus.FORBIDDEN
        assert someone.get(address).status_code == HTTPStatus.OK


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_queue_of_any_name_has_a_page_that_shows_it_as_text(name: str) -> None:
    made = record(name, dead=1)
    letter(made, name)
    address = queue_address("redis", name)
    answer = signed_in(queue_operator()).get(address)
    assert answer.status_code == HTTPStatus.OK
    assert answer.context["row"].name == name
    assert not re.search(r"<script>alert", answer.content.decode())
    assert address.replace("&", "&amp;") in signed_in(viewer()).get("/queues/").content.decode()


def test_an_unknown_queue_or_message_is_404() -> None:
    client = signed_in(viewer())
    for address in ("/queues/redis/none", "/queues/redis/", "/queues/mars/a", "/message/redis/x"):
        assert client.get(address).status_code == HTTPStatus.NOT_FOUND


def test_rates_are_of_the_buckets_that_are_over_and_gaps_are_not_known() -> None:
    made = record("a")
    flow(made, came=20, acked=10, buckets=3)
    (row,) = queues.LIST.page(parse(""), now_ms=now_ms()).rows
    found = one_queue.read(made.key, now_ms())
    assert found is not None
    assert len(row.came) == SPARK_BUCKETS
    assert len(found.past.buckets) == RATE_BUCKETS
    assert row.came[-1] is not None
    assert row.came[-1] > 100
    assert row.came[0] is None


def test_the_page_of_a_queue_shows_how_it_stands_what_died_and_the_balance() -> None:
    made = record("emails", ready=1_204, in_flight=2, delayed=120, dead=2, acked=63_508)
    flow(made, came=212, acked=208)
    first = letter(made, "550 no such user", attempts=5)
    in_flight(made, left_s=20)
    message(made, "acked")
    sweep(made, Verb.REDRIVE, SweepState.RUNNING, done=200, at_most=1_000)
    text = signed_in(viewer()).get("/queues/redis/emails").content.decode()
    for said in (
        *("1,204", "63,508", "Accounted for", "Missing", "550 no such user", first),
        *("emails.dlq", "Dead letters", "You need the permission coordination.change_queuerecord"),
    ):
        assert said in text, said
    found = one_queue.read(made.key, now_ms())
    assert found is not None
    assert [each.attempts for each in found.past.letters] == [5]
    assert [each.done for each in found.past.sweeps] == [200]
    assert len(found.past.flight) == 1


def test_a_letter_that_was_purged_or_redriven_is_no_dead_letter_any_more() -> None:
    made = record("emails", dead=1)
    stays, goes = letter(made, "bad"), letter(made, "bad")
    one_queue.MessageRecord.objects.filter(message=goes, key="redis emails.dlq").update(
        state="purged", ended_at=now()
    )
    found = one_queue.read(made.key, now_ms())
    assert found is not None
    assert [each.message for each in found.past.letters] == [stays]


def test_a_balance_that_is_off_says_by_how_much() -> None:
    record("a", ready=3, off=2)
    record("b", ready=3, off=-1)
    rows = {row.name: row for row in queues.LIST.page(parse(""), now_ms=now_ms()).rows}
    assert (rows["a"].missing, rows["b"].missing) == (2, -1)


def test_a_store_that_counts_nothing_says_so_and_claims_nothing() -> None:
    record("sms", store="rabbitmq", counts=False, ready=6)
    text = signed_in(viewer()).get("/queues/rabbitmq/sms").content.decode()
    assert "Store rabbitmq counts no totals." in text
    assert "Accounted for" not in text
    (row,) = queues.LIST.page(parse(""), now_ms=now_ms()).rows
    assert row.missing is None


def test_what_its_store_cannot_do_is_off_and_says_why(rabbitmq_queues: str) -> None:
    record("sms", store="rabbitmq", counts=False, ready=6, dead=1)
    text = signed_in(queue_operator()).get("/queues/rabbitmq/sms").content.decode()
    assert re.search(r'id="pause-open"[^>]*disabled title="Store rabbitmq cannot do that"', text)
    assert re.search(r'id="move-open"[^>]*disabled title="Store rabbitmq cannot do that"', text)
    assert not re.search(r'id="(redrive|purge)-open"[^>]*disabled', text)


def test_a_store_that_this_project_does_not_have_offers_nothing() -> None:
    record("a", store="elsewhere", ready=6, dead=1)
    text = signed_in(queue_operator()).get("/queues/elsewhere/a").content.decode()
    for deed in ("pause", "redrive", "move", "purge"):
        assert re.search(rf'id="{deed}-open"[^>]*disabled title="[^"]*elsewhere', text)


def test_the_page_of_a_message_tells_its_life_through_every_queue() -> None:
    made = record("emails", dead=1)
    sent = letter(made, "550 no such user", attempts=2)
    row = one_queue.MessageRecord.objects.get(message=sent, key=made.key)
    said = {"actor": "ann", "reason": "the address book is back", "source": "emails.dlq"}
    row.life = [*row.life, step("redriven", ago_s=1, **said)]
    row.save()
    text = signed_in(viewer()).get(message_address("redis", sent)).content.decode()
    for words in (
        *("Published", "Taken", "attempt 2", "Attempt failed", "Died", "Came to the dead letters"),
        *("Given another chance", "by ann: the address book is back", "550 no such user"),
        *("Dead letter", "emails.dlq"),
    ):
        assert words in text, words


def test_the_body_of_a_message_is_what_its_store_has() -> None:
    q = queue(f"body:{now().timestamp()}", using="redis")
    id_ = q.publish({"to": "<b>ann</b>"}, headers={"trace": "t-1"})
    message(record(q.name, ready=1), "waiting", message=id_)
    text = signed_in(viewer()).get(message_address("redis", id_)).content.decode()
    assert "&lt;b&gt;ann&lt;/b&gt;" in text
    assert "t-1" in text
    (taken,) = q.reserve()
    taken.ack()
    gone = signed_in(viewer("vic")).get(message_address("redis", id_)).content.decode()
    assert "It is not among the first 1,000 of its queue, or it is gone by now." in gone


def test_a_store_that_does_not_answer_leaves_the_page_and_is_told(
    freeze_redis: Callable[[], None],
) -> None:
    made = record("emails", ready=1)
    sent = message(made, "waiting")
    client = signed_in(queue_operator())
    freeze_redis()
    for address in ("/queues/", "/queues/redis/emails", message_address("redis", sent.message)):
        answer = client.get(address)
        assert answer.status_code == HTTPStatus.OK
    assert "did not answer" in answer.content.decode() or "Redis" in answer.content.decode()
    assert "Life" in answer.content.decode()


def test_the_navigation_counts_queues_that_wait_for_somebody() -> None:
    some_of_each()
    answer = signed_in(viewer()).get("/")
    assert answer.context["rail"]["queues"] == 3
    assert QueueRecord.objects.count() == len(STATES)


def test_find_goes_to_the_one_queue_of_that_name() -> None:
    record("emails")
    record("twice")
    record("twice", store="database")
    client = signed_in(viewer())
    for text, address in (
        ("emails", "/queues/redis/emails"),
        ("twice", "/queues/?q=twice"),
        ("email", "/queues/?q=email"),
        ("nothing-like-it", "/transactions/?q=nothing-like-it"),
    ):
        assert client.get("/find", {"q": text})["Location"] == address, text
