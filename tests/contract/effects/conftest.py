"""What a transaction can publish to and add to: every store of queues and of counters."""

import pytest

from tests.databases import _django_db_helper
from tests.effects import Effect, effect_of
from tests.queue_stores import postgresql_queues, rabbitmq_queues, redis_queues, sqlite_queues

__all__ = [
    "_django_db_helper",
    "postgresql_queues",
    "rabbitmq_queues",
    "redis_queues",
    "sqlite_queues",
]

COUNTERS = ["counter-redis", "counter-database", "counter-sqlite", "counter-zookeeper"]
QUEUES = ["queue-redis", "queue-database", "queue-sqlite", "queue-rabbitmq"]


@pytest.fixture(params=[*COUNTERS, *QUEUES])
def effect(request: pytest.FixtureRequest, transactional_db: None) -> Effect:
    """Every kind on every store."""
    return effect_of(request)


# RabbitMQ has no bound that users declare.
@pytest.fixture(params=[*COUNTERS, *QUEUES[:-1]])
def bounded(request: pytest.FixtureRequest, transactional_db: None) -> Effect:
    """One unit, and no more, is there room for."""
    made = effect_of(request)
    made.room = 1
    return made


# In PostgreSQL whoever comes second waits for the row.
@pytest.fixture(params=[each for each in (*COUNTERS, *QUEUES[:-1]) if "database" not in each])
def held(request: pytest.FixtureRequest, transactional_db: None) -> Effect:
    """The same, of stores that hold room instead of a lock."""
    made = effect_of(request)
    made.room = 1
    return made
