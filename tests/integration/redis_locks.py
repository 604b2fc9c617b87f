"""A Redis of a test's own as the store of locks, and what it recorded."""

import pytest
from pytest_django import Settings

from coordination.locks.events import LockEvent, parse_packed
from tests.integration.own_redis import OwnRedis

DEADLINE_S = 0.3


@pytest.fixture
def own(own_redis: OwnRedis, settings: Settings) -> OwnRedis:
    """A Redis of this test's own as the store of locks."""
    settings.COORDINATION = {
        "NODE": "test",
        "STORES": {
            "redis": {
                "BACKEND": "redis",
                "LOCATION": own_redis.url,
                "OPTIONS": {"DEADLINE": DEADLINE_S},
            }
        },
    }
    return own_redis


def events(own: OwnRedis) -> list[tuple[int, LockEvent]]:
    """Of one shard, each with its stamp."""
    (stream,) = own.client().keys("*:events")
    found = [(int(id_.split("-")[0]), text["e"]) for id_, text in own.client().xrange(stream)]
    return [(stamp, parse_packed(packed, stamp=stamp)) for stamp, packed in found]
