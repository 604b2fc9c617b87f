"""Queues in Django's admin: to be read, and acted on only through their store, with a reason."""

import secrets
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from coordination import queue
from coordination.queues.api import Queue
from coordination.queues.records import QueueRecord
from coordination.queues.sweeps.tables import QueueSweep, SweepState, Verb
from tests.databases import ALIASES, _django_db_helper
from tests.integration import frozen_redis
from tests.integration.dashboard_queues import (
    emptied,
    letter,
    message,
    queue_operator,
    record,
    sweep,
)
from tests.integration.dashboard_web import make_user, signed_in

__all__ = ["_django_db_helper", "emptied"]

freeze_redis = frozen_redis.freeze_redis

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=ALIASES),
    pytest.mark.usefixtures("emptied"),
]
LIST = "admin:coordination_queuerecord_changelist"
MESSAGES = "admin:coordination_messagerecord_changelist"
REASON = "the address book was empty, ticket 4410"


@pytest.fixture
def q() -> Queue:
    return queue(f"admin:{secrets.token_hex(5)}", using="redis")


def bury(of: Queue, number: int) -> list[str]:
    ids = of.publish_many(range(number))
    for each in of.reserve(batch=number):
        each.reject(error="550 no such user")
    return ids


def act(by: Client, page: str, action: str, pk: object, **fields: Any) -> str:
    data = {"action": action, "_selected_action": pk, **fields}
    return by.post(reverse(page), data, follow=True).content.decode()


def confirmed(row: QueueRecord, shown: int) -> dict[str, Any]:
    asked = {"asked": secrets.token_hex(4), "confirmed": "yes", "reason": REASON}
    return asked | {f"shown_count:{row.key}": str(shown)}


def test_queues_messages_and_sweeps_are_shown_and_offer_no_editing() -> None:
    row = record("emails", ready=12, dead=1)
    letter(row, "550 no such user")
    sweep(row, Verb.PURGE, SweepState.STOPPED, done=200, at_most=1_000)
    views = ("view_queuerecord", "view_messagerecord", "view_queuesweep")
    looker = signed_in(make_user("lo", *views, is_staff=True))
    texts = {}
    for model, pk in (("queuerecord", row.pk), ("messagerecord", None), ("queuesweep", None)):
        listed = looker.get(reverse(f"admin:coordination_{model}_changelist"))
        texts[model] = listed.content.decode()
        assert looker.get(reverse(f"admin:coordination_{model}_add")).status_code == 403
        if pk:
            one = looker.get(reverse(f"admin:coordination_{model}_change", args=[pk]))
            assert b'name="_save"' not in one.content
    assert "emails" in texts["queuerecord"]
    assert "550 no such user" in texts["messagerecord"]
    assert "200 of at most 1,000" in texts["queuesweep"]


@pytest.mark.parametrize(
    "standing", ["with dead letters", "with messages", "consuming paused", "disputed"]
)
def test_rows_are_filtered_by_where_they_stand(standing: str) -> None:
    record("emails", dead=1, ready=3)
    page = signed_in(queue_operator()).get(reverse(LIST), {"standing": standing})
    assert ("emails" in page.content.decode()) == standing.startswith("with")


def test_actions_need_their_permission(q: Queue) -> None:
    bury(q, 1)
    q.publish("x")
    row = record(q.name, ready=1, dead=1)
    looker = signed_in(make_user("lo", "view_queuerecord", is_staff=True))
    pauser = signed_in(make_user("pia", "view_queuerecord", "change_queuerecord", is_staff=True))
    for action in ("pause", "redrive", "purge"):
        act(looker, LIST, action, row.pk, **confirmed(row, 1))
    act(pauser, LIST, "purge", row.pk, **confirmed(row, 1))
    stats = q.stats()
    assert (stats.ready, stats.dead, stats.consuming_paused) == (1, 1, False)


def test_an_action_says_what_it_falls_on_and_asks_for_a_reason(q: Queue) -> None:
    q.publish_many(range(3))
    row = record(q.name, ready=3, dead=7)
    by = signed_in(queue_operator())
    purge, redrive = (act(by, LIST, action, row.pk) for action in ("purge", "redrive"))
    short = act(by, LIST, "purge", row.pk, **confirmed(row, 3) | {"reason": "because"})
    assert f'name="shown_count:{row.key}" value="3"' in purge
    assert f'name="shown_count:{row.key}" value="7"' in redrive
    assert "none that comes later" in purge
    assert "at least 10 characters" in short
    assert q.stats().ready == 3


def test_a_purge_falls_on_at_most_what_was_shown_and_once(q: Queue) -> None:
    q.publish_many(range(5))
    row, by = record(q.name, ready=3), signed_in(queue_operator())
    fields = confirmed(row, 3)
    assert "purge: 3 messages." in act(by, LIST, "purge", row.pk, **fields)
    assert "purge: 3 messages." in act(by, LIST, "purge", row.pk, **fields)
    assert q.stats().ready == 2
    assert "nothing was shown" in act(by, LIST, "purge", row.pk, **confirmed(row, 0))
    assert QueueSweep.objects.get().actor == "quinn"


def test_a_queue_is_paused_resumed_and_redriven(q: Queue) -> None:
    bury(q, 2)
    row, by = record(q.name, dead=2), signed_in(queue_operator())
    assert "gives out no messages" in act(by, LIST, "pause", row.pk, **confirmed(row, 0))
    assert q.stats().consuming_paused
    assert "resumed" in act(by, LIST, "resume", row.pk, **confirmed(row, 0))
    assert "redrive: 2 messages." in act(by, LIST, "redrive", row.pk, **confirmed(row, 2))
    assert (q.stats().ready, q.stats().dead) == (2, 0)


def test_one_dead_letter_gets_another_chance_or_is_thrown_away(q: Queue) -> None:
    first, second = bury(q, 2)
    letters = record(f"{q.name}.dlq", ready=2)
    rows = [message(letters, "waiting", message=each, source=q.name) for each in (first, second)]
    here = message(record(q.name), "acked", message="gone")
    by = signed_in(queue_operator())
    said = {"confirmed": "yes", "reason": REASON}
    assert f"back in {q.name}" in act(by, MESSAGES, "requeue", rows[0].pk, **said)
    assert "thrown away." in act(by, MESSAGES, "discard", rows[1].pk, **said)
    assert "nothing was done" in act(by, MESSAGES, "discard", rows[1].pk, **said)
    assert "no dead letter" in act(by, MESSAGES, "requeue", here.pk, **said)
    assert (q.stats().ready, q.stats().dead) == (1, 0)


def test_a_store_that_does_not_answer_is_told(q: Queue, freeze_redis: Callable[[], None]) -> None:
    row, by = record(q.name, ready=1), signed_in(queue_operator())
    freeze_redis()
    said = act(by, LIST, "pause", row.pk, **confirmed(row, 0))
    assert "Nothing was done" in said
