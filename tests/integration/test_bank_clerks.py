"""The demo's clerks: they take locks of every kind, count, and stop when they are told to."""

from typing import Any

import pytest
from pytest_django import Settings

from coordination import counter
from coordination.locks.stores import lock_store
from coordination.locks.types import Kind
from examples.bank.clerks import Clerks
from examples.bank.tallies import CHAIRS
from tests.contract.locks.asking import until
from tests.integration.own_redis import OwnRedis, own_redis

__all__ = ["own_redis"]


@pytest.fixture
def own(own_redis: OwnRedis, settings: Settings) -> OwnRedis:
    settings.COORDINATION = {
        "NODE": "test",
        "STORES": {"redis": {"BACKEND": "redis", "LOCATION": own_redis.url}},
    }
    return own_redis


def kinds(own: OwnRedis) -> set[str]:
    """What kinds of names are told of in the store's events."""
    client: Any = own.client()
    told = [client.xrange(stream) for stream in client.keys("*:events")]
    return {fields["e"].split("\n")[1] for entries in told for _, fields in entries}


def test_clerks_take_locks_of_every_kind_and_leave_none_behind(own: OwnRedis) -> None:
    clerks = Clerks(6)
    clerks.start()
    every = {Kind.LOCK, Kind.SEMAPHORE, Kind.ELECTION, "counter"}
    until(lambda: kinds(own) == every, within_s=30)
    clerks.stop(within_s=10)

    assert own.client().keys("*:held:*") == []
    assert 0 <= counter("branch:customers").get() <= CHAIRS
    assert lock_store("redis").contended() == []


def test_clerks_outlive_an_outage_of_their_store(own: OwnRedis) -> None:
    clerks = Clerks(2)
    clerks.start()
    until(lambda: bool(kinds(own)), within_s=30)
    own.kill()
    own.start()

    until(lambda: bool(kinds(own)), within_s=30)
    clerks.stop(within_s=10)
