"""The kind of registers under test, and a name of each test's own."""

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from coordination.consensus.api import WriteOnce, register
from tests.consensus_stores import (
    Quorum,
    _django_db_helper,
    _quorum_servers,
    elect,
    mixed_quorum,
    postgresql_registers,
    redis_quorum,
    servers_of_quorum,
    zookeeper_registers,
)

__all__ = [
    "_django_db_helper",
    "_quorum_servers",
    "elect",
    "mixed_quorum",
    "postgresql_registers",
    "redis_quorum",
    "servers_of_quorum",
    "zookeeper_registers",
]

KINDS = ["postgresql_registers", "zookeeper_registers", "redis_quorum", "mixed_quorum"]


@pytest.fixture(params=KINDS)
def using(request: pytest.FixtureRequest, transactional_db: None) -> str:
    word: str = request.getfixturevalue(request.param)
    return word


@pytest.fixture
def name() -> str:
    return f"test:{secrets.token_hex(6)}"


@pytest.fixture
def made(using: str, name: str) -> Callable[..., WriteOnce]:
    """Makes registers of this test's name."""

    def make(**options: object) -> WriteOnce:
        return register(name, using=using, **options)  # type: ignore[arg-type]

    return make


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.fixture
def freeze(servers_of_quorum: Quorum) -> Callable[..., None]:
    """Freezes some of the quorum's servers; they go on after the test."""

    def freeze(*aliases: str) -> None:
        for alias in aliases:
            servers_of_quorum.servers[alias].freeze()

    return freeze
