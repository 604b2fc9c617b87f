"""Optimistic names in Redis when the server fails, and what their history says."""

import time

import pytest
from pytest_django import Settings

from coordination import optimistic
from coordination.connections.redis import RedisStore
from coordination.exceptions import ConflictError, OutcomeUnknown, StoreUnavailable
from coordination.versions.stores.redis import RedisVersions
from coordination.versions.types import ABSENT
from tests.integration.forked_child import fork, succeeded
from tests.integration.own_redis import CuttingProxy, OwnRedis, own_redis

__all__ = ["own_redis"]

DEADLINE_S = 0.3


@pytest.fixture
def own(own_redis: OwnRedis, settings: Settings) -> OwnRedis:
    """A Redis of this test's own as the store."""
    options = {"DEADLINE": DEADLINE_S}
    redis = {"BACKEND": "redis", "LOCATION": own_redis.url, "OPTIONS": options}
    settings.COORDINATION = {"NODE": "test", "STORES": {"redis": redis}, "DEFAULT": "redis"}
    return own_redis


def write(name: str, value: object) -> None:
    optimistic.run(lambda a: a.set(value), name, retries=1000)


def read(name: str) -> tuple[object, int]:
    return optimistic.run(lambda a: (a.value, a.version), name)


def events(own: OwnRedis) -> list[tuple[str, dict[str, str]]]:
    (stream,) = own.client().keys("*:events")
    return own.client().xrange(stream)


def test_a_write_whose_reply_was_lost_is_not_mistaken_for_a_conflict(own: OwnRedis) -> None:
    write("other", 1)  # the server knows the script: the write is what is cut
    with CuttingProxy(own.port, cut_after=0) as proxy:
        cut = RedisVersions(RedisStore("cut", proxy.url), node="test")
        with pytest.raises((OutcomeUnknown, StoreUnavailable)):
            cut.write("a", ABSENT, '"mine"', call="call")
    assert read("a") == ("mine", 1)

    direct = RedisVersions(RedisStore("direct", own.url), node="test")
    assert direct.write("a", ABSENT, '"mine"', call="call")
    assert not direct.write("a", ABSENT, '"late"', call="another")
    assert read("a") == ("mine", 1)


def test_a_server_that_freezes_and_thaws_within_the_deadline_applies_once(own: OwnRedis) -> None:
    for attempt in optimistic("a"):
        with attempt as a:
            a.set((a.value or 0) + 1)
            own.freeze()
            own.thaw()
    assert read("a") == (1, 1)


@pytest.mark.parametrize("moment", ["read", "write", "verify"])
def test_a_frozen_server_is_an_error_within_the_deadline(own: OwnRedis, moment: str) -> None:
    begun = time.monotonic()
    try:
        with pytest.raises((OutcomeUnknown, StoreUnavailable)):
            if moment == "read":
                own.freeze()
            for attempt in optimistic("a"):
                with attempt as a:
                    if moment == "write":
                        a.set(1)
                    own.freeze()
                    begun = time.monotonic()
        assert time.monotonic() - begun < DEADLINE_S + 0.5
    finally:
        own.thaw()


def test_versions_counted_anew_are_not_mistaken_for_those_read(own: OwnRedis) -> None:
    """A Redis that lost its data begins again with version 1."""
    write("a", "before")
    seen = []
    for attempt in optimistic("a"):
        with attempt as a:
            seen.append((a.value, a.version))
            if len(seen) == 1:
                own.client().flushall()
                own_write("a", "after")
            a.set("mine")

    assert seen == [("before", 1), ("after", 1)]
    assert read("a") == ("mine", 2)


def own_write(name: str, value: str) -> None:
    store = optimistic(name)._versions
    assert store.write(name, store.read(name), f'"{value}"', call=f"call-{value}")


def test_every_change_leaves_an_event_and_none_is_missing(own: OwnRedis) -> None:
    write("a", 1)
    with pytest.raises(ConflictError):
        for attempt in optimistic("a", retries=0):
            with attempt as a:
                own_write("a", "theirs")
                a.set(2)

    found = events(own)
    assert [position for position, _ in found] == ["1-0", "2-0", "3-0"]
    assert [(event["kind"], event["version"]) for _, event in found] == [
        ("optimistic.set", "1"),
        ("optimistic.set", "2"),
        ("optimistic.conflicted", "2"),
    ]


def test_processes_that_increment_together_end_with_the_exact_sum(own: OwnRedis) -> None:
    def increment() -> bool:
        for _ in range(25):
            optimistic.run(lambda a: a.set((a.value or 0) + 1), "a", retries=10_000)
        return True

    children = [fork(increment) for _ in range(4)]
    assert [succeeded(child) for child in children] == [True] * 4
    assert read("a") == (100, 100)


def test_names_leave_nothing_behind_but_their_value_and_events(own: OwnRedis) -> None:
    write("a", 1)
    left = {key.split(":")[2] for key in own.client().keys("*")}
    assert left == {"value", "answer", "position", "events"}
    assert all(own.client().pttl(key) > 0 for key in own.client().keys("*:answer:*"))
