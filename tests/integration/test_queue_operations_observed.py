"""What a person does to queues by hand is on record afterwards: who, why, and what became of it."""

import secrets

import pytest

from coordination import queue
from coordination.observing.records import Intervention
from coordination.queues import operations
from coordination.queues.operating import STEP
from coordination.queues.operations import Order, Place
from coordination.queues.sweeps import carrying
from coordination.queues.sweeps.tables import SweepState, Verb
from coordination.queues.watching import make_sampler
from dashboard.addresses import message_address
from dashboard.clock import now_ms
from dashboard.queries import queue as query
from tests.databases import ALIASES
from tests.integration.dashboard_queues import emptied
from tests.integration.dashboard_web import signed_in, viewer
from tests.integration.own_redis import own_redis
from tests.integration.queue_observing import (
    _django_db_helper,
    any_store,
    database_only,
    message,
    observe,
    own,
    redis_only,
    sqlite_only,
)
from tests.queue_stores import sqlite_queues

__all__ = [
    "_django_db_helper",
    "any_store",
    "database_only",
    "emptied",
    "own",
    "own_redis",
    "redis_only",
    "sqlite_only",
    "sqlite_queues",
]

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=ALIASES),
    pytest.mark.usefixtures("emptied"),
]
BY = {"actor": "m.keller", "reason": "the address book was empty"}


def test_an_order_of_many_steps_is_one_intervention(any_store: str) -> None:
    q = queue("a")
    q.publish_many(range(2 * STEP + 5))
    place = Place(store=any_store, name="a")
    wanted = Order(op=secrets.token_hex(8), verb=Verb.PURGE, place=place, at_most=2 * STEP + 5)
    operations.order(wanted, within_s=0, **BY)
    while carrying.carry_all():
        observe()
    observe()

    assert operations.standing(wanted.op).state == SweepState.DONE
    (row,) = Intervention.objects.all()
    assert (row.action, row.name, row.actor) == ("purge", f"{any_store} a", "m.keller")
    make_sampler().step()
    found = query.read(f"{any_store} a", now_ms())
    assert found is not None
    assert found.row.missing == 0
    assert [each.done for each in found.past.sweeps] == [2 * STEP + 5]


def test_what_is_done_to_one_message_is_told_in_its_life(any_store: str) -> None:
    q = queue("a", max_attempts=1)
    ids = q.publish_many(range(3))
    for each in q.reserve(batch=3):
        each.reject(error="550 no such user")
    observe()
    letters = Place(store=any_store, name="a.dlq")
    assert operations.requeue(Place(store=any_store, name="a"), ids[0], **BY)
    assert operations.discard(letters, ids[1], **BY)
    assert operations.move(letters, ids[2], to="b", **BY)
    observe()

    assert (message(ids[0], queue="a").state, message(ids[0], queue="a").attempts) == ("waiting", 0)
    assert message(ids[1], queue="a.dlq").state == "purged"
    assert message(ids[2], queue="b").source == "a.dlq"
    told = {row.action: row.name for row in Intervention.objects.all()}
    assert told["purge"] == f"{any_store} a.dlq"
    assert set(told) == {"redrive", "purge", "move"}
    make_sampler().step()
    found = query.read(f"{any_store} a", now_ms())
    assert found is not None
    assert (found.past.letters, found.row.missing) == ((), 0)
    page = signed_in(viewer()).get(message_address(any_store, ids[1])).content.decode()
    assert "Thrown away" in page
    assert "by m.keller: the address book was empty" in page
