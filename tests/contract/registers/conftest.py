"""Where outcomes are decided: the row, a register elsewhere, or a register a vote."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.consensus_stores import (
    _quorum_servers,
    elect,
    mixed_quorum,
    postgresql_registers,
    redis_quorum,
    servers_of_quorum,
    zookeeper_registers,
)
from tests.databases import _django_db_helper
from tests.integration import broker, ledger

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

PLACES = {
    "row": (None, "2pc"),
    "zookeeper": ("zookeeper_registers", "2pc"),
    "quorum": ("redis_quorum", "2pc"),
    "3pc": (None, "3pc"),
    "3pc, quorum": ("redis_quorum", "3pc"),
    "paxos": ("redis_quorum", "paxos"),
    "paxos, mixed": ("mixed_quorum", "paxos"),
}


@pytest.fixture(autouse=True)
def _ledgers(transactional_db: None) -> Iterator[None]:
    broker.clear()
    with ledger.ledgers():
        yield


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, transactional_db: None) -> dict[str, Any]:
    """Options of `distributed_transaction` that say where it is decided."""
    fixture, protocol = PLACES[request.param]
    if fixture is None:
        return {"protocol": protocol}
    register = request.getfixturevalue(fixture)
    if protocol == "paxos":
        return {"protocol": protocol}
    return {"protocol": protocol, "register": register}
