"""The store under test, and a name of each test's own."""

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from coordination import lock
from coordination.locks.api import Lock
from coordination.locks.store import LockStore
from coordination.locks.stores import lock_store
from coordination.locks.types import Kind, Resource
from tests.lock_stores import postgresql_locks, redis_locks, sqlite_locks, zookeeper_locks

__all__ = ["postgresql_locks", "redis_locks", "sqlite_locks", "zookeeper_locks"]

POSTGRESQL = pytest.param("postgresql", marks=pytest.mark.django_db(transaction=True))


STORES = ["redis", POSTGRESQL, "sqlite", "zookeeper"]


@pytest.fixture(params=STORES)
def using(request: pytest.FixtureRequest) -> str:
    alias: str = request.getfixturevalue(f"{request.param}_locks")
    # Connected, or its file made: that takes longer than the leases of some tests.
    lock_store(alias).info(Resource(Kind.LOCK, "warm"))
    return alias


@pytest.fixture
def store(using: str) -> LockStore:
    return lock_store(using)


@pytest.fixture
def name() -> str:
    return f"test:{secrets.token_hex(6)}"


@pytest.fixture
def made(using: str, name: str) -> Callable[..., Lock]:
    """Makes locks of this test's name."""

    def make(**options: object) -> Lock:
        return lock(name, using=using, **options)

    return make


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool
