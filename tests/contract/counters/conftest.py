"""The store under test, and a counter of each test's own."""

import secrets
from collections.abc import Callable

import pytest

from coordination import counter
from coordination.counters.api import Counter
from tests.counter_stores import (
    _django_db_helper,
    database_counters,
    redis_counters,
    sqlite_counters,
    zookeeper_counters,
)

__all__ = [
    "_django_db_helper",
    "database_counters",
    "redis_counters",
    "sqlite_counters",
    "zookeeper_counters",
]

STORES = ["redis", "database", "sqlite", "zookeeper"]


@pytest.fixture(params=STORES)
def using(request: pytest.FixtureRequest, transactional_db: None) -> str:
    alias: str = request.getfixturevalue(f"{request.param}_counters")
    return alias


@pytest.fixture
def name() -> str:
    return f"test:{secrets.token_hex(6)}"


@pytest.fixture
def made(using: str, name: str) -> Callable[..., Counter]:
    """Makes counters of this test's name."""

    def make(**options: object) -> Counter:
        return counter(name, using=using, **options)  # type: ignore[arg-type]

    return make
