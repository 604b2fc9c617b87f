"""The store under test, and a name of each test's own."""

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from coordination import lock
from coordination.locks.api import Lock, lock_store
from coordination.locks.store import LockStore


@pytest.fixture(params=["redis"])
def using(request: pytest.FixtureRequest) -> str:
    alias: str = request.param
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
