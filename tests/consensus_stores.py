"""The kinds of registers under test: fixtures that give the word which means one, ready for use."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db import connections
from pytest_django import DjangoDbBlocker, Settings

from coordination.consensus.founding import found
from coordination.consensus.naming import PAXOS
from coordination.consensus.stores import quorum
from coordination.consensus.stores.paxos import PaxosRegisters
from tests.integration.own_redis import OwnRedis

DEADLINE_S = 2.0
FOUNDING_MS = 10_000
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
TABLES = ("concord_register", "concord_acceptor_cell", "concord_consensus_seat")
NUMBERS = ("one", "two", "three")


class Quorum:
    """Three Redis servers of a module's own, each an acceptor, that tests may harm."""

    def __init__(self, folder: Path) -> None:
        self.servers: dict[str, OwnRedis] = {}
        for alias in NUMBERS:
            (folder / alias).mkdir()
            self.servers[alias] = OwnRedis(folder / alias, *DURABLE)

    def heal(self) -> None:
        """Let those that were frozen go on, and start those that were killed."""
        for server in self.servers.values():
            if server.process.poll() is None:
                server.thaw()
            else:
                server.start()

    def empty(self) -> None:
        """Let all forget everything, and run as acceptors should."""
        for server in self.servers.values():
            with server.client() as client:
                client.flushall()
                client.config_set("appendfsync", "always")
                client.config_set("no-appendfsync-on-rewrite", "no")

    def stores(self) -> dict[str, dict[str, object]]:
        """As COORDINATION has them."""
        return {
            alias: {"BACKEND": "redis", "LOCATION": server.url}
            for alias, server in self.servers.items()
        }

    def close(self) -> None:
        """End all."""
        for server in self.servers.values():
            server.kill()


@pytest.fixture
def _django_db_helper(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Instead of pytest-django's, which truncates every table."""
    with django_db_blocker.unblock():
        yield
        with connections["default"].cursor() as cursor:
            for table in TABLES:
                cursor.execute(f"DELETE FROM {table}")


@pytest.fixture(scope="module")
def _quorum_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quorum]:
    servers = Quorum(tmp_path_factory.mktemp("acceptors"))
    try:
        yield servers
    finally:
        servers.close()


@pytest.fixture
def servers_of_quorum(_quorum_servers: Quorum) -> Iterator[Quorum]:
    """Three servers that run and know nothing."""
    _quorum_servers.heal()
    _quorum_servers.empty()
    yield _quorum_servers
    _quorum_servers.heal()


@pytest.fixture
def elect(settings: Settings) -> Callable[..., PaxosRegisters]:
    """Make stores the acceptors."""

    def elect(
        stores: dict[str, dict[str, object]],
        acceptors: tuple[str, ...] = NUMBERS,
        *,
        deadline_s: float = DEADLINE_S,
        founded: bool = True,
    ) -> PaxosRegisters:
        known = django_settings.COORDINATION
        settings.COORDINATION = known | {
            "STORES": known["STORES"] | stores,
            "CONSENSUS": {"ACCEPTORS": list(acceptors), "DEADLINE": deadline_s},
        }
        registers = quorum()
        if founded:
            found(registers, deadline_ms=FOUNDING_MS)
        return registers

    return elect


@pytest.fixture
def redis_quorum(servers_of_quorum: Quorum, elect: Callable[..., PaxosRegisters]) -> str:
    """Three Redis."""
    elect(servers_of_quorum.stores())
    return PAXOS


@pytest.fixture
def mixed_quorum(
    servers_of_quorum: Quorum,
    transactional_db: None,
    zookeeper_hosts: str,
    elect: Callable[..., PaxosRegisters],
) -> str:
    """A Redis, the test's PostgreSQL and a ZooKeeper."""
    one = servers_of_quorum.stores()["one"]
    place = f"{zookeeper_hosts}/test-{secrets.token_hex(4)}"
    stores = {"one": one, "keeper": {"BACKEND": "zookeeper", "LOCATION": place}}
    elect(stores, ("one", "database", "keeper"))
    return PAXOS


@pytest.fixture
def postgresql_registers(transactional_db: None) -> str:
    return "database"


@pytest.fixture
def zookeeper_registers(zookeeper_hosts: str, settings: Settings) -> str:
    """Below a node of this test's own."""
    keeper = {"BACKEND": "zookeeper", "LOCATION": f"{zookeeper_hosts}/test-{secrets.token_hex(4)}"}
    known = django_settings.COORDINATION
    settings.COORDINATION = known | {"STORES": known["STORES"] | {"keeper": keeper}}
    return "keeper"
