"""The store under test, and a name of each test's own.

A test of something that not every store can do says so: `@needs(Capability.GROUPS)`.
"""

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from coordination import queue
from coordination.queues.api import Queue
from coordination.queues.store import QueueStore
from coordination.queues.stores import queue_store
from coordination.queues.stores.postgresql import PostgresQueues
from coordination.queues.stores.rabbitmq import RabbitMQQueues
from coordination.queues.stores.redis import RedisQueues
from coordination.queues.stores.sqlite import SqliteQueues
from tests.databases import ALIASES, _django_db_helper
from tests.queue_stores import postgresql_queues, rabbitmq_queues, redis_queues, sqlite_queues

__all__ = [
    "_django_db_helper",
    "postgresql_queues",
    "rabbitmq_queues",
    "redis_queues",
    "sqlite_queues",
]

COMMITS = pytest.mark.django_db(transaction=True, databases=ALIASES)
POSTGRESQL = pytest.param("postgresql", marks=COMMITS)

# Those that are built: a store is added here with its file.
STORES = ["redis", "rabbitmq", POSTGRESQL, pytest.param("sqlite", marks=COMMITS)]
CAPABILITIES = {
    "redis": RedisQueues.capabilities,
    "rabbitmq": RabbitMQQueues.capabilities,
    "postgresql": PostgresQueues.capabilities,
    "sqlite": SqliteQueues.capabilities,
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what a store does not declare: that it refuses this is a test of its own."""
    without = [each for each in items if _undeclared(each)]
    if without:
        config.hook.pytest_deselected(items=without)
        items[:] = [each for each in items if each not in without]


def _undeclared(item: pytest.Item) -> bool:
    needed, call = item.get_closest_marker("needs"), getattr(item, "callspec", None)
    if needed is None or call is None or "using" not in call.params:
        return False
    return not CAPABILITIES[call.params["using"]] >= set(needed.args)


@pytest.fixture(params=STORES)
def using(request: pytest.FixtureRequest) -> str:
    alias: str = request.getfixturevalue(f"{request.param}_queues")
    return alias


@pytest.fixture
def store(using: str) -> QueueStore:
    return queue_store(using)


@pytest.fixture
def name() -> str:
    return f"test:{secrets.token_hex(6)}"


@pytest.fixture
def made(using: str, name: str) -> Callable[..., Queue]:
    """Makes queues of this test's name."""

    def make(**options: object) -> Queue:
        return queue(name, using=using, **options)

    return make


@pytest.fixture
def q(made: Callable[..., Queue]) -> Queue:
    """The queue of this test's name, as queues are by default."""
    return made()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool
