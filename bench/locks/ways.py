"""The ways to have a lock that are compared, and which of them share a process."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

LEASE_S = 30
PATIENCE_S = 60
"""How long a contender waits, where a way asks: longer than any chunk."""

Hold = Callable[[str], AbstractContextManager[object]]
"""Waits for the lock of this name and has it during the block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to have a lock. `make` opens what it needs in the calling process and thread."""

    name: str
    make: Callable[[], Hold]
    chunk_s: float = 0.04


def groups() -> Mapping[str, list[Way]]:
    """Ways by the process they are measured in: those with threads of their own are alone."""
    from bench.locks import concord, floor, redis_peers, server_peers

    return {
        "redis": [floor.PAIR_WAY, *concord.ON_REDIS, *redis_peers.WITHOUT_THREADS],
        "pottery": [redis_peers.POTTERY_WAY],
        "tooz-redis": [server_peers.TOOZ_REDIS_WAY],
        "postgresql": [concord.ON_POSTGRESQL],
        "pglock": [server_peers.PGLOCK_WAY],
        "sqlite": [concord.ON_SQLITE],
        "zookeeper": [concord.ON_ZOOKEEPER],
        "kazoo": [server_peers.KAZOO_WAY],
        "tooz-zookeeper": [server_peers.TOOZ_ZOOKEEPER_WAY],
    }


def by_name() -> dict[str, Way]:
    """All of them, in the order in which they are printed."""
    return {way.name: way for ways in groups().values() for way in ways}
