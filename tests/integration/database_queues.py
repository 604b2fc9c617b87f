"""Stores of queues in the test's PostgreSQL: their events, ways to them that lose replies."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connections
from pytest_django import Settings

from coordination import queue
from coordination.connections import postgresql_pool
from coordination.queues.api import Queue
from tests.contract.queues.taking import one
from tests.integration.ledger import execute
from tests.integration.postgresql_proxy import PostgresProxy

STORE = "queues"


def configured(settings: Settings, *, using: str, deadline_s: float = 10) -> None:
    """The only store is in this database."""
    options = {"DEADLINE": deadline_s}
    store = {"BACKEND": "database", "USING": using, "OPTIONS": options}
    settings.COORDINATION = django_settings.COORDINATION | {
        "STORES": {STORE: store},
        "DEFAULT": STORE,
    }


@pytest.fixture
def store(settings: Settings) -> None:
    """A store in the test's database."""
    configured(settings, using="default")


@pytest.fixture
def proxy(settings: Settings) -> Iterator[PostgresProxy]:
    """The store's way to the server leads through this; queue "a" is known already."""
    to = connections.settings["default"]
    with PostgresProxy(int(to["PORT"])) as proxy:
        connections.settings["proxied"] = to | {"HOST": "127.0.0.1", "PORT": proxy.port}
        configured(settings, using="proxied")
        try:
            warm("a")
            yield proxy
        finally:
            connections["proxied"].close()
            postgresql_pool.drop_all()
            del connections["proxied"], connections.settings["proxied"]


def warm(name: str, **given: Any) -> Queue:
    """A queue whose verbs are known to this process and to its connection."""
    q = queue(name, **given)
    q.publish("warm")
    message = one(q)
    message.extend()
    message.ack()
    return q


def events(name: str) -> list[tuple[str, dict[str, Any]]]:
    """What and data of every event of a queue, in the order of their causes."""
    rows = execute(
        "default",
        "SELECT kind, data::text FROM concord_event WHERE object = 'queue' "
        "AND split_part(name, ' ', 2) = %s ORDER BY id",
        name,
    )
    return [(kind, json.loads(data)) for kind, data in rows]
