"""The demo's post room: its queues live, some letters die, and it stops when it is told to."""

import pytest
from pytest_django import Settings

from coordination import queue
from examples.bank import post
from examples.bank.post import Post, statements
from tests.contract.locks.asking import until
from tests.contract.queues.taking import balanced
from tests.integration.own_redis import OwnRedis, own_redis

__all__ = ["own_redis"]


@pytest.fixture
def own(own_redis: OwnRedis, settings: Settings) -> OwnRedis:
    settings.COORDINATION = {
        "NODE": "test",
        "STORES": {"redis": {"BACKEND": "redis", "LOCATION": own_redis.url}},
    }
    return own_redis


def acked() -> int:
    totals = statements().stats().totals
    assert totals is not None
    return totals.acked


def test_letters_are_sent_and_some_die_and_nothing_is_lost(
    own: OwnRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(post, "FAILS_ALWAYS", 0.3)
    room = Post(40)
    room.start()
    until(lambda: acked() > 20 and statements().stats().dead > 0, within_s=40)
    room.stop(within_s=15)
    assert statements().stats().in_flight == 0
    balanced(statements())
    (letter,) = queue("bank.statements.dlq").peek(1)
    assert "nobody of that name" in str(letter.error)


def test_the_post_room_outlives_an_outage_of_its_store(own: OwnRedis) -> None:
    room = Post(20)
    room.start()
    until(lambda: acked() > 3, within_s=30)
    own.kill()
    own.start()
    until(lambda: acked() > 3, within_s=40)
    room.stop(within_s=15)
    assert statements().stats().in_flight == 0


def test_without_letters_there_is_no_post() -> None:
    room = Post(0)
    room.start()
    room.stop(within_s=0)
