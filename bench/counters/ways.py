"""The ways to count that are compared, and which of them share a process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

MANY = 64
"""Of a batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to count."""

    name: str
    make: Callable[[str], Callable[[], None]]
    """Opens what it needs in the calling process, and makes what adds `each` to a counter."""
    value: Callable[[str], int]
    """What a counter says."""
    each: int = 1
    chunk_s: float = 0.04


def groups() -> Mapping[str, list[Way]]:
    """Ways by the process they are measured in: those with threads of their own are alone."""
    from bench.counters import concord, peers

    return {
        "redis": [*peers.ON_REDIS, *concord.ON_REDIS],
        "postgresql": [peers.ORM_ON_POSTGRESQL, *concord.ON_POSTGRESQL],
        "sqlite": [peers.ORM_ON_SQLITE, concord.ON_SQLITE],
        "kazoo": [peers.KAZOO_WAY],
        "zookeeper": [concord.ON_ZOOKEEPER],
    }


def by_name() -> dict[str, Way]:
    """All of them, in the order in which they are printed."""
    return {way.name: way for ways in groups().values() for way in ways}
