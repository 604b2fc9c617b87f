"""Acting on queues and messages from the dashboard, on the tests' real Redis and PostgreSQL."""

import secrets
from collections.abc import Callable
from http import HTTPStatus

import pytest
from django.test import Client

from coordination import queue
from coordination.queues import operations
from coordination.queues.api import Queue
from coordination.queues.operating import STEP
from coordination.queues.sweeps import carrying
from coordination.queues.sweeps.tables import QueueSweep, SweepState
from dashboard.addresses import message_address, queue_address
from dashboard.limits import MESSAGE_ROWS
from tests.databases import ALIASES, _django_db_helper
from tests.integration import frozen_redis
from tests.integration.dashboard_queues import emptied, message, queue_operator, record
from tests.integration.dashboard_web import make_user, signed_in

__all__ = ["_django_db_helper", "emptied"]

freeze_redis = frozen_redis.freeze_redis

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=ALIASES),
    pytest.mark.usefixtures("emptied"),
]

REASON = "the address book was empty, ticket 4410"


@pytest.fixture
def q() -> Queue:
    made = queue(f"page:{secrets.token_hex(5)}", using="redis")
    record(made.name)
    return made


def form(**fields: object) -> dict[str, object]:
    return {"op": secrets.token_hex(12), "reason": REASON} | fields


def counted(number: int, **fields: object) -> dict[str, object]:
    """The form of a deed that falls on so many."""
    return form(shown=number, confirm=str(number)[-6:], **fields)


def to(of: Queue, deed: str) -> str:
    return queue_address(of.store.alias, of.name, route=f"queue-{deed}")


def said(client: Client, address: str, fields: dict[str, object]) -> str:
    return client.post(address, fields, follow=True).content.decode()


def bury(of: Queue, number: int) -> None:
    of.publish_many(range(number))
    for each in of.reserve(batch=number):
        each.reject(error="550 no such user")


DEEDS = ("pause", "resume", "redrive", "move", "purge", "go-on", "stop")


def test_no_action_without_post_permission_or_csrf(q: Queue) -> None:
    bury(q, 1)
    q.publish("x")
    looker = signed_in(make_user("vera", "view_transactionrecord", "resolve_transaction"))
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(queue_operator())
    for deed in DEEDS:
        address, fields = to(q, deed), counted(1, consuming="1", to="elsewhere")
        assert Client().post(address).status_code == HTTPStatus.FOUND
        assert looker.get(address).status_code == HTTPStatus.METHOD_NOT_ALLOWED
        assert looker.post(address, fields).status_code == HTTPStatus.FORBIDDEN
        assert strict.post(address, fields).status_code == HTTPStatus.FORBIDDEN
    stats = q.stats()
    assert (stats.ready, stats.dead, stats.consuming_paused) == (1, 1, False)
    assert not QueueSweep.objects.exists()


def test_pausing_needs_one_right_and_purging_another(q: Queue) -> None:
    q.publish("x")
    record(q.name, ready=1)
    pauser = signed_in(make_user("pia", "view_transactionrecord", "change_queuerecord"))
    page = pauser.get(queue_address("redis", q.name)).content.decode()
    assert 'id="pause-submit"' in page
    assert 'id="purge-submit"' not in page
    assert "You need the permission coordination.delete_queuerecord" in page
    assert pauser.post(to(q, "purge"), counted(1)).status_code == HTTPStatus.FORBIDDEN
    assert q.stats().ready == 1


def test_a_queue_is_paused_as_asked_and_resumed(q: Queue) -> None:
    client = signed_in(queue_operator())
    assert "gives out no messages" in said(client, to(q, "pause"), form(consuming="1"))
    assert "paused so already" in said(client, to(q, "pause"), form(consuming="1"))
    stats = q.stats()
    assert (stats.publishing_paused, stats.consuming_paused) == (False, True)
    assert "Resumed" in said(client, to(q, "resume"), form())
    assert "nothing was done" in said(client, to(q, "resume"), form())
    assert "neither publishing nor consuming" in said(client, to(q, "pause"), form())
    assert not q.stats().consuming_paused


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"confirm": "3"}, "Type 4 to confirm."),
        ({"confirm": ""}, "Type 4 to confirm."),
        ({"reason": "short"}, "10 to 500 characters"),
        ({"shown": "0", "confirm": "0"}, "at_most"),
        ({"shown": "all", "confirm": "0"}, "at_most"),
        ({"op": "../../etc"}, "op must be"),
    ],
)
def test_a_purge_that_lacks_something_throws_nothing_away(
    q: Queue, change: dict[str, object], told: str
) -> None:
    q.publish_many(range(4))
    text = said(signed_in(queue_operator()), to(q, "purge"), counted(4) | change)
    assert told in text
    assert q.stats().ready == 4
    assert not QueueSweep.objects.exists()


def test_a_purge_falls_on_what_was_shown_and_a_form_that_is_sent_twice_purges_once(
    q: Queue,
) -> None:
    q.publish_many(range(5))
    client, fields = signed_in(queue_operator()), counted(3)
    assert "3 purged. What came later is untouched." in said(client, to(q, "purge"), fields)
    assert "3 purged. What came later is untouched." in said(client, to(q, "purge"), fields)
    assert q.stats().ready == 2
    row = QueueSweep.objects.get()
    assert (row.actor, row.reason, row.state) == ("quinn", REASON, SweepState.DONE)


def test_dead_letters_are_redriven_and_messages_moved(q: Queue) -> None:
    bury(q, 4)
    client = signed_in(queue_operator())
    assert "4 redriven" in said(client, to(q, "redrive"), form(shown=4))
    other = f"{q.name}:to"
    assert "4 moved" in said(client, to(q, "move"), counted(4, to=other))
    assert (q.stats().held, q.stats().dead) == (0, 0)
    assert queue(other, using="redis").stats().ready == 4
    q.publish("x")
    assert "already" in said(client, to(q, "move"), counted(1, to=q.name))
    assert "name" in said(client, to(q, "move"), counted(1, to=""))


def test_a_large_purge_is_stopped_and_goes_on_from_the_page(q: Queue) -> None:
    q.publish_many(range(3 * STEP))
    wanted = operations.Order(
        op=secrets.token_hex(12),
        verb=operations.Verb.PURGE,
        place=operations.Place(store="redis", name=q.name),
        at_most=3 * STEP,
    )
    operations.order(wanted, actor="quinn", reason=REASON, within_s=0)
    client = signed_in(queue_operator())
    page = client.get(queue_address("redis", q.name))
    (shown,) = page.context["data"]["sweeps"]
    assert (shown["state"], shown["done"], shown["at_most"]) == ("running", STEP, 3 * STEP)
    assert "Stopped: 200 of at most 600 purged" in said(client, to(q, "stop"), {"op": wanted.op})
    carrying.carry_all()
    assert q.stats().ready == 2 * STEP
    assert "600 purged" in said(client, to(q, "go-on"), {"op": wanted.op})
    assert q.stats().ready == 0
    assert "there is no order" in said(client, to(q, "stop"), {"op": "unknown-1"})


def test_one_message_is_requeued_moved_or_thrown_away(q: Queue) -> None:
    bury(q, 3)
    letters = queue(f"{q.name}.dlq", using="redis")
    row = record(letters.name)
    client = signed_in(queue_operator())
    first, second, third = (each.id for each in letters.peek(3))
    for id_ in (first, second, third):
        message(row, "waiting", message=id_, source=q.name)

    def act(id_: str, deed: str, **fields: object) -> str:
        address = message_address("redis", id_, route=f"message-{deed}")
        return said(client, address, form(queue=letters.name, **fields))

    assert f"It is back in {q.name}" in act(first, "requeue")
    assert "nothing was done" in act(first, "requeue")
    assert "10 to 500 characters" in act(second, "discard", reason="no")
    assert "Thrown away." in act(second, "discard")
    assert "Moved to" in act(third, "transfer", to=f"{q.name}:to")
    assert (letters.stats().held, q.stats().ready) == (0, 1)
    assert queue(f"{q.name}:to", using="redis").stats().ready == 1


def test_acting_on_a_message_needs_its_right_and_falls_where_it_was_shown(q: Queue) -> None:
    id_ = q.publish("x")
    message(record(q.name), "waiting", message=id_)
    pauser = signed_in(make_user("pia", "view_transactionrecord", "change_queuerecord"))
    discard = message_address("redis", id_, route="message-discard")
    assert pauser.post(discard, form(queue=q.name)).status_code == HTTPStatus.FORBIDDEN
    client = signed_in(queue_operator())
    for elsewhere in ("", "another"):
        found = client.post(discard, form(queue=elsewhere))
        assert found.status_code == HTTPStatus.NOT_FOUND
    assert q.stats().ready == 1


@pytest.mark.parametrize("deed", ["pause", "redrive", "purge"])
def test_a_store_that_does_not_answer_is_told_and_nothing_is_claimed(
    q: Queue, deed: str, freeze_redis: Callable[[], None]
) -> None:
    bury(q, 1)
    q.publish("x")
    client = signed_in(queue_operator())
    freeze_redis()
    text = said(client, to(q, deed), counted(1, consuming="1"))
    assert 'data-s="bad" role="status"' in text
    assert "Nothing was done" in text or "It may have happened or not" in text
    for claim in ("Paused:", "redriven.", "purged."):
        assert claim not in text


def test_a_store_that_this_project_does_not_have_is_told() -> None:
    record("a", store="elsewhere", ready=3)
    address = queue_address("elsewhere", "a", route="queue-purge")
    text = said(signed_in(queue_operator()), address, counted(3))
    assert "elsewhere" in text
    assert "Nothing was done." in text


def test_a_page_shows_no_more_messages_than_it_may(q: Queue) -> None:
    row = record(q.name, ready=MESSAGE_ROWS + 9)
    for _ in range(MESSAGE_ROWS + 9):
        message(row, "waiting")
    page = signed_in(queue_operator()).get(queue_address("redis", q.name))
    assert len(page.context["data"]["latest"]) == MESSAGE_ROWS
