"""A store of locks in the test's database, its events, and ways to harm its server."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import pytest
from django.conf import settings as django_settings
from django.db import connections
from pytest_django import Settings

from config.servers import Servers
from coordination.connections import postgresql_pool
from coordination.locks.stores import lock_store
from coordination.locks.stores.postgresql import PostgresLocks
from tests.integration.ledger import execute
from tests.integration.postgresql_proxy import PostgresProxy

DEADLINE_S = 0.3
STORE = "locks"
OURS = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE %s"""


@pytest.fixture
def store(settings: Settings) -> PostgresLocks:
    """A store in the test's database, and connections of its own."""
    return configured(settings, using="default")


@pytest.fixture
def hasty(store: PostgresLocks, settings: Settings) -> PostgresLocks:
    """The same with a short deadline, for servers that do not answer."""
    return configured(settings, using="default", deadline_s=DEADLINE_S)


def configured(settings: Settings, *, using: str, deadline_s: float = 10) -> PostgresLocks:
    settings.COORDINATION = django_settings.COORDINATION | {
        "STORES": {
            STORE: {"BACKEND": "database", "USING": using, "OPTIONS": {"DEADLINE": deadline_s}}
        },
        "DEFAULT": STORE,
    }
    made = lock_store(STORE)
    assert isinstance(made, PostgresLocks)
    return made


@pytest.fixture
def proxy(settings: Settings) -> Iterator[PostgresProxy]:
    """The store's way to the server leads through this."""
    to = connections.settings["default"]
    with PostgresProxy(int(to["PORT"])) as proxy:
        connections.settings["proxied"] = to | {"HOST": "127.0.0.1", "PORT": proxy.port}
        configured(settings, using="proxied")
        try:
            yield proxy
        finally:
            connections["proxied"].close()
            postgresql_pool.drop_all()
            del connections["proxied"], connections.settings["proxied"]


@contextmanager
def within_the_deadline() -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < DEADLINE_S + 0.5


@contextmanager
def frozen(servers: Servers) -> Iterator[None]:
    """Every process of the server is stopped; its sockets stay open."""
    postmaster = psutil.Process(servers.pid("postgresql"))
    postmaster.suspend()  # first: it starts no other meanwhile
    processes = postmaster.children(recursive=True)
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            each.suspend()
    try:
        yield
    finally:
        for each in (*processes, postmaster):
            with suppress(psutil.NoSuchProcess):
                each.resume()


def events(name: str = "a") -> list[tuple[int, str, dict[str, object]]]:
    rows = execute(
        "default",
        "SELECT version, kind, data FROM concord_event WHERE object = 'lock' AND name = %s "
        "ORDER BY version",
        f"{STORE} lock {name}",
    )
    return [
        (version, kind, json.loads(data) if isinstance(data, str) else data)
        for version, kind, data in rows
    ]
