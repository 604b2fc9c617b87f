"""Fenced values in Redis: who may write, what is refused, and a server that fails."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pytest_django import Settings

from coordination import fenced_value, lock
from coordination.connections.redis import RedisStore
from coordination.exceptions import (
    InvalidArgument,
    InvalidName,
    LockLost,
    NotSupportedByStore,
    OutcomeUnknown,
    StaleToken,
    StoreUnavailable,
)
from coordination.fencing.stores.redis import RedisValues, _shard
from coordination.fencing.types import Call, Stored
from coordination.models import UNFENCED
from tests.contract.locks.asking import held, pass_time
from tests.guarded.installing import _django_db_helper
from tests.integration.forked_child import fork, succeeded
from tests.integration.own_redis import CuttingProxy, OwnRedis, own_redis

__all__ = ["_django_db_helper", "own_redis"]

# What is refused is told to the coordinator's records.
pytestmark = pytest.mark.django_db(transaction=True)

DEADLINE_S = 0.3
HUGE = 2**53 - 1


@pytest.fixture
def own(own_redis: OwnRedis, settings: Settings) -> OwnRedis:
    """A Redis of this test's own as the store."""
    redis = {
        "BACKEND": "redis",
        "LOCATION": own_redis.url,
        "OPTIONS": {"DEADLINE": DEADLINE_S},
    }
    database = {"BACKEND": "database", "USING": "default"}
    settings.COORDINATION = {
        "NODE": "test",
        "STORES": {"redis": redis, "database": database},
        "DEFAULT": "redis",
    }
    return own_redis


def events(own: OwnRedis) -> list[tuple[str, dict[str, str]]]:
    (stream,) = own.client().keys("*:events")
    return own.client().xrange(stream)


def test_a_value_and_its_token_are_kept(own: OwnRedis) -> None:
    value = fenced_value("a")
    assert value.read() == Stored(value=None, token=0)
    for token, content in ((5, {"x": [1, None]}), (5, "again"), (HUGE - 1, 0), (HUGE, False)):
        value.set(content, token=token)
        assert value.read() == Stored(value=content, token=token)
    with pytest.raises(StaleToken, match=f"written with token {HUGE}; {HUGE - 1} is older") as told:
        value.set("late", token=HUGE - 1)
    assert value.get() is False
    assert (told.value.name, told.value.store, told.value.applied) == ("a", "redis", False)


def test_a_holder_paused_past_its_lease_is_refused_by_the_value(own: OwnRedis) -> None:
    first = held(lock("a", ttl=0.1, renew=False).acquire())
    fenced_value("a").set("first", token=first)
    with lock("a", wait=5) as later:
        fenced_value("a").set("later", token=later)

    with pytest.raises(LockLost):
        fenced_value("a").set("late", token=first)
    with pytest.raises(StaleToken):
        fenced_value("a").set("late", token=first.token)
    assert fenced_value("a").get() == "later"


def test_a_process_that_was_stopped_while_it_held_cannot_write_when_it_goes_on(
    own: OwnRedis,
) -> None:
    held_now, go_on = os.pipe(), os.pipe()

    def stopped() -> bool:
        grant = held(lock("a", ttl=0.5).acquire())
        fenced_value("a").set("first", token=grant)
        os.write(held_now[1], b"x")
        os.read(go_on[0], 1)  # stopped here, its renewals with it
        refused = 0
        for token in (grant, grant.token):
            try:
                fenced_value("a").set("late", token=token)
            except (LockLost, StaleToken):
                refused += 1
        return refused == 2

    child = fork(stopped)
    os.read(held_now[0], 1)
    os.kill(child, signal.SIGSTOP)
    try:
        with lock("a", wait=10) as grant:
            fenced_value("a").set("later", token=grant)
    finally:
        os.kill(child, signal.SIGCONT)
        os.write(go_on[1], b"x")

    assert succeeded(child)
    assert fenced_value("a").get() == "later"


def test_a_deleted_value_does_not_come_back(own: OwnRedis) -> None:
    value = fenced_value("a")
    value.set("x", token=5)
    with pytest.raises(StaleToken):
        value.delete(token=4)
    value.delete(token=7)

    assert value.read() == Stored(value=None, token=7)
    with pytest.raises(StaleToken):
        value.set("late", token=6)
    (key,) = own.client().keys("*:value:a")
    assert own.client().pttl(key) > 6 * 24 * 3_600_000
    value.set("new", token=8)
    assert own.client().pttl(key) == -1


def test_unfenced_writes_and_leaves_the_token(own: OwnRedis) -> None:
    value = fenced_value("a")
    value.set("x", token=5)
    value.set("y", token=UNFENCED)

    assert value.read() == Stored(value="y", token=5)
    value.delete(token=UNFENCED)
    assert value.read() == Stored(value=None, token=5)


def test_a_repeated_call_gets_the_first_answer(own: OwnRedis) -> None:
    value = fenced_value("a")
    value.set("first", token=5, op_id="op-1")
    value.set("second", token=6)
    value.set("first", token=5, op_id="op-1")
    with pytest.raises(StaleToken):
        value.set("late", token=5, op_id="op-2")
    value.delete(token=UNFENCED)
    with pytest.raises(StaleToken):
        value.set("late", token=5, op_id="op-2")

    assert value.get() is None
    (kept,) = own.client().keys("*:answer:a op-1")
    assert own.client().pttl(kept) > 23 * 3_600_000


def test_calls_for_two_values_are_two_calls_however_they_are_named(own: OwnRedis) -> None:
    # Names for which both would be the same text, on one shard.
    one, other = "a", next(name for name in (f"a:{n}" for n in range(999)) if _near(name, "a"))
    op_id = other.removeprefix("a:")
    fenced_value(one).set("one", token=5, op_id=f"{op_id}:x")
    fenced_value(other).set("other", token=5, op_id="x")

    assert fenced_value(other).get() == "other"


def _near(name: str, other: str) -> bool:
    return _shard(name) == _shard(other)


def test_a_write_whose_reply_was_lost_is_not_written_twice(own: OwnRedis) -> None:
    call = Call(id="call", kept_ms=10_000)
    fenced_value("other").set("x", token=1)  # the server knows the script: the write is what is cut
    with CuttingProxy(own.port, cut_after=0) as proxy:
        cut = RedisValues(RedisStore("cut", proxy.url), node="test")
        with pytest.raises((OutcomeUnknown, StoreUnavailable)):
            cut.write("a", '"x"', fence=5, call=call)
    fenced_value("a").set("y", token=6)

    direct = RedisValues(RedisStore("direct", own.url), node="test")
    assert not direct.write("a", '"x"', fence=5, call=call).refused
    assert fenced_value("a").get() == "y"


def test_every_change_leaves_an_event_and_none_is_missing(own: OwnRedis) -> None:
    value = fenced_value("a")
    value.set("x", token=5)
    with pytest.raises(StaleToken):
        value.set("y", token=4)
    value.delete(token=6)

    found = events(own)
    assert [position for position, _ in found] == ["1-0", "2-0", "3-0"]
    assert [(event["kind"], event["token"]) for _, event in found] == [
        ("fenced.set", "5"),
        ("fenced.refused", "4"),
        ("fenced.deleted", "6"),
    ]


def test_of_many_writers_no_older_one_follows_a_newer(own: OwnRedis) -> None:
    def write(token: int) -> bool:
        try:
            fenced_value("a").set(token, token=token)
        except StaleToken:
            return False
        return True

    tokens = [*range(1, 60, 2), *range(60, 0, -2)]
    with ThreadPoolExecutor(6) as threads:
        written = list(threads.map(write, tokens))

    assert written[tokens.index(60)]
    assert fenced_value("a").read() == Stored(value=60, token=60)
    order = [int(event["token"]) for _, event in events(own) if event["kind"] == "fenced.set"]
    assert order == sorted(order)


@pytest.mark.parametrize("verb", ["read", "set", "delete"])
def test_a_frozen_server_is_an_error_within_the_deadline(own: OwnRedis, verb: str) -> None:
    value = fenced_value("a")
    calls = {
        "read": value.read,
        "set": lambda: value.set(1, token=1),
        "delete": lambda: value.delete(token=1),
    }
    own.freeze()
    try:
        begun = time.monotonic()
        with pytest.raises((OutcomeUnknown, StoreUnavailable)):
            calls[verb]()
        assert time.monotonic() - begun < DEADLINE_S + 0.5
    finally:
        own.thaw()


@pytest.mark.parametrize(
    ("value", "options", "match"),
    [
        (1, {}, "needs a token"),
        (1, {"token": -1}, "from 1 to 2"),
        (1, {"token": "7"}, "not '7'"),
        (None, {"token": 1}, r"call delete\(\)"),
        (object(), {"token": 1}, "JSON cannot carry"),
        (2**53, {"token": 1}, "beyond"),
        ("x" * 300_000, {"token": 1}, "limit is 262144"),
        (1, {"token": 1, "op_id": "a b"}, "op_id"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    own: OwnRedis, value: Any, options: dict[str, Any], match: str
) -> None:
    own.kill()
    with pytest.raises((InvalidArgument, InvalidName), match=match):
        fenced_value("a").set(value, **options)
    own.start()


def test_a_store_or_name_that_will_not_do_is_refused_at_once(own: OwnRedis) -> None:
    with pytest.raises(NotSupportedByStore, match="FencedModel"):
        fenced_value("a", using="database")
    with pytest.raises(InvalidName, match="fenced value's name"):
        fenced_value("a b")
    with pytest.raises(InvalidArgument, match="Did you mean 'redis'"):
        fenced_value("a", using="reddis")


def test_a_lost_grant_is_refused_before_anything_is_sent(own: OwnRedis) -> None:
    grant = held(lock("a", ttl=0.05, renew=False).acquire())
    pass_time(0.06)
    own.kill()
    with pytest.raises(LockLost):
        fenced_value("a").set(1, token=grant)
    own.start()
