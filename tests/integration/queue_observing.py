"""What happens to queues, observed: a test's own stores, and importers, samplers, auditors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connections
from pytest_django import DjangoDbBlocker, Settings

from coordination import Message, queue
from coordination.connections import database
from coordination.connections.database import Statement
from coordination.observing.fences import Fenced
from coordination.observing.journal import Journal
from coordination.observing.observer import Observer
from coordination.observing.records import Verdict
from coordination.observing.tables import Event
from coordination.queues import watching
from coordination.queues.auditor import QueueAuditor
from coordination.queues.importing import QueueImporter
from coordination.queues.recording import QueueProjection
from coordination.queues.records import MessageRecord, QueueRecord
from coordination.queues.sampling import Sampler
from tests.contract.queues.taking import one
from tests.databases import ALIASES, empty
from tests.integration.own_redis import OwnRedis
from tests.queue_stores import SQLITE

SEEN = (
    *("concord_queue_record", "concord_queue_bucket", "concord_message_record"),
    *("concord_queue_watch", "concord_queue_watched"),
    *("concord_cursor", "concord_verdict", "concord_violation", "concord_intervention"),
)
Stores = dict[str, dict[str, object]]


def only(settings: Settings, stores: Stores) -> None:
    """These stores and no others, the first of them the default."""
    settings.COORDINATION = {
        "NODE": "test",
        "FAILPOINTS": True,
        "DEFAULT": next(iter(stores)),
        "STORES": stores,
    }


@pytest.fixture
def _django_db_helper(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """As that of `tests.databases`, and nothing that was seen is left."""
    with django_db_blocker.unblock():
        yield
        for using in ALIASES:
            empty(using)
        with connections["default"].cursor() as cursor:
            for table in SEEN:
                cursor.execute(f"DELETE FROM {table}")


@pytest.fixture
def own(own_redis: OwnRedis, settings: Settings) -> OwnRedis:
    """A Redis of this test's own as the store of queues: database 1, as the project has it."""
    own_redis.url = own_redis.url.removesuffix("/0") + "/1"
    store = {"BACKEND": "redis", "LOCATION": own_redis.url, "OPTIONS": {"DEADLINE": 0.5}}
    only(settings, {"redis": store})
    return own_redis


@pytest.fixture
def redis_only(own: OwnRedis) -> str:
    return "redis"


@pytest.fixture
def database_only(settings: Settings) -> str:
    """PostgreSQL, which writes straight into the database's events."""
    only(settings, {"database": {"BACKEND": "database", "USING": "default"}})
    return "database"


@pytest.fixture
def sqlite_only(sqlite_queues: str, settings: Settings) -> str:
    only(settings, {SQLITE: django_settings.COORDINATION["STORES"][SQLITE]})
    return SQLITE


@pytest.fixture(params=["redis_only", "database_only", "sqlite_only"])
def any_store(request: pytest.FixtureRequest) -> str:
    """Each store that records events of queues; the alias."""
    return str(request.getfixturevalue(request.param))


def an_importer() -> QueueImporter:
    return watching.make_importer()


def an_observer() -> Observer:
    return Observer(Journal("default"), [QueueProjection()], None)


def a_sampler() -> Sampler:
    return watching.make_sampler()


def an_auditor() -> QueueAuditor:
    return watching.make_auditor()


def drain(step: Callable[[], int]) -> int:
    """Step until nothing is left; returns the sum."""
    total = 0
    while True:
        with suppress(Fenced):
            done = step()
            total += done
            if done == 0:
                return total


def observe() -> int:
    """Import and fold what there is; returns how many events were folded."""
    importer, observer = an_importer(), an_observer()
    total = 0
    while drain(importer.step) + (folded := drain(observer.step)):
        total += folded
    return total


def audit(auditor: QueueAuditor | None = None) -> Verdict:
    drain((auditor or an_auditor()).step)
    return Verdict.objects.get(name="queue_balance")


def judged() -> Verdict:
    """The verdict on all there is by now."""
    observe()
    return audit()


def record(name: str) -> QueueRecord:
    return QueueRecord.objects.get(name=name)


def message(id_: str, *, queue: str) -> MessageRecord:
    return MessageRecord.objects.get(message=id_, key__endswith=f" {queue}")


def told(id_: str, *, queue: str) -> list[str]:
    """What befell a message in a queue."""
    return [each["kind"] for each in message(id_, queue=queue).life]


def kinds(name: str) -> list[str]:
    """What befell a queue, in the order of recording."""
    events = Event.objects.filter(object="queue", name__contains=f" {name} ").order_by("id")
    return list(events.values_list("kind", flat=True))


def run_sql(sql: str, *values: Any) -> list[tuple[Any, ...]]:
    return database.run("default", Statement(sql, values))[0].rows


def work(name: str = "a") -> None:
    """Nine messages: some acked, some dead, some in flight, some delayed and some ready."""
    q = queue(name, max_attempts=2)
    q.publish_many([*range(4), Message("p", priority=5), Message("d", delay=60)])
    q.publish_many([Message(number, group="g") for number in range(3)])
    for _ in range(3):
        one(q).ack()
    for _ in range(2):
        one(q).nack(delay=0, error="boom")
    one(q).reject(error="bad")
    q.reserve(batch=1)


def delete_row(store: str, message: str) -> None:
    using = "default" if store == "database" else SQLITE
    with connections[using].cursor() as cursor:
        cursor.execute("DELETE FROM concord_queue_message WHERE message = %s", (message,))
