"""Counters in Redis when the reply, the server or its memory fails."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from coordination import counter
from coordination.connections.redis import RedisStore
from coordination.counters.stores.redis import RedisCell, RedisCounters, shard_of, shard_prefix
from coordination.counters.types import Change, Rules, Verb
from coordination.exceptions import (
    BoundExceeded,
    CoordinationError,
    OutcomeUnknown,
    StoreUnavailable,
)
from tests.integration.counter_verbs import VERBS
from tests.integration.own_redis import OwnRedis, own_redis
from tests.integration.postgresql_proxy import PostgresProxy

__all__ = ["own_redis"]

DEADLINE_S = 0.5


@pytest.fixture
def use(settings: Settings) -> Callable[..., None]:
    """Make a Redis the store of counters."""

    def use(url: str, *, deadline_s: float = DEADLINE_S) -> None:
        store = {"BACKEND": "redis", "LOCATION": url, "OPTIONS": {"DEADLINE": deadline_s}}
        settings.COORDINATION = {"NODE": "test", "STORES": {"redis": store}}

    return use


@pytest.fixture
def own(own_redis: OwnRedis, use: Callable[..., None]) -> OwnRedis:
    use(own_redis.url)
    # So that no reply that is lost says that the server lacks a script.
    counter("warm").set(counter("warm").add(1))
    counter.window("warm", per=60).add(1)
    return own_redis


@pytest.fixture
def proxy(own: OwnRedis, use: Callable[..., None]) -> Iterator[PostgresProxy]:
    """The way to the server; what it loses was done."""
    with PostgresProxy(own.port) as proxy:
        use(f"redis://127.0.0.1:{proxy.port}/0", deadline_s=5)
        yield proxy
        use(own.url)


@pytest.mark.parametrize("verb", VERBS)
def test_a_change_whose_reply_was_lost_is_made_once(proxy: PostgresProxy, verb: str) -> None:
    call, answer, after = VERBS[verb]
    c = counter("a")
    c.set(10)
    c.get()

    proxy.lose_the_next_reply()
    assert call(c) == answer

    assert proxy.lost.is_set()
    assert c.read() == after
    assert len(c.history()) == after[1]


@pytest.mark.usefixtures("own")
def test_names_and_op_ids_that_read_alike_together_are_kept_apart() -> None:
    short = "a"
    # On one shard of the store, where their keys lie side by side.
    middle = next(part for part in map(str, range(999)) if shard_of(f"a:{part}") == shard_of(short))

    assert counter(short).add(1, op_id=f"{middle}:x") == 1
    assert counter(f"{short}:{middle}").add(1, op_id="x") == 1
    assert counter(f"{short}:{middle}").add(1) == 2


def test_a_hit_whose_reply_was_lost_is_counted_once(proxy: PostgresProxy) -> None:
    limit = counter.rate_limit("a", limit=2, per=3600)
    limit.hit()

    proxy.lose_the_next_reply()
    assert limit.hit().remaining == 0
    assert not limit.hit()


def cell_of(server: OwnRedis, name: str = "a", **rules: Any) -> tuple[RedisStore, RedisCell]:
    store = RedisStore("raw", server.url)
    return store, RedisCell(RedisCounters(store, node="test"), Rules(name, **rules))


def test_a_first_copy_that_comes_after_the_repetition_is_not_counted(own: OwnRedis) -> None:
    store, cell = cell_of(own)
    for change in (
        Change(Verb.ADD, "lost", 5),
        Change(Verb.SET, "lost-too", 7),
        Change(Verb.COMPARE_AND_SET, "lost-as-well", 8, 7),
    ):
        script = cell._script(change)
        # The repetition is the first that arrives, so it is what counts.
        told = script(*cell._told(change, again=True))
        version = cell.read().version
        assert script(*cell._told(change)) == told
        assert script(*cell._told(change, again=True)) == told
        assert cell.read().version == version
    store.close()


@pytest.mark.parametrize("step_s", [21, 3_600, -3_600])
def test_a_call_counts_once_though_the_clock_was_set_before_its_repetition(
    own: OwnRedis, step_s: int
) -> None:
    store, cell = cell_of(own)
    earlier, lost, later = (Change(Verb.ADD, id_, 1) for id_ in ("earlier", "lost", "later"))
    for change in (earlier, lost, later):
        script = cell._script(change)
        told = script(*cell._told(change))
    with own.client() as client:
        stream = f"{shard_prefix(shard_of('a'))}events"
        entries = client.xrange(stream)
        client.delete(stream)
        for id_, fields in entries:
            moved = int(id_.partition("-")[0]) - step_s * 1_000_000
            client.xadd(stream, fields, id=f"{moved}-0")
    assert cell._answer(script(*cell._told(lost, again=True))).value == 2
    assert cell._answer(told).value == cell.read().value == 3
    store.close()


def test_a_repetition_looks_no_further_back_than_a_call_may_take(own: OwnRedis) -> None:
    store, cell = cell_of(own)
    lost, repeated = Change(Verb.ADD, "lost", 1), Change(Verb.ADD, "never", 1)
    script = cell._script(lost)
    script(*cell._told(lost))
    with own.client() as client:
        stream = f"{shard_prefix(shard_of('a'))}events"
        ((id_, fields),) = client.xrange(stream)
        at = int(id_.partition("-")[0])
        client.delete(stream)
        # One change a second and a half, for long.
        adding = client.pipeline()
        for number in range(2_000, 0, -1):
            adding.xadd(stream, fields, id=f"{at - number * 1_500_000}-0")
        adding.execute()
        cell._answer(script(*cell._told(repeated, again=True)))
        assert client.info("commandstats")["cmdstat_xrevrange"]["calls"] == 1
    assert cell.read().value == 2
    store.close()


def test_where_nothing_tells_any_more_the_outcome_is_unknown_and_stays_so(own: OwnRedis) -> None:
    store, cell = cell_of(own)
    many = [Change(Verb.ADD, f"other-{number}", 1) for number in range(10_200)]
    cell.change_many(many)
    lost = Change(Verb.ADD, "lost", 5)

    script = cell._script(lost)
    for again in (True, False):
        with pytest.raises(OutcomeUnknown):
            cell._answer(script(*cell._told(lost, again=again)))
    assert cell.read() == (10_200, 10_200)
    store.close()


def test_calls_without_an_op_id_leave_nothing_behind_but_events(own: OwnRedis) -> None:
    with own.client() as client:
        before = set(client.scan_iter())
        c = counter("a", minimum=0)
        for _ in range(50):
            c.add(1)
        c.set(3)
        c.compare_and_set(3, 4)
        c.compare_and_set(3, 4)
        with pytest.raises(BoundExceeded):
            c.add(-50)

        made = {
            key.partition("}:")[2].partition(":")[0] for key in set(client.scan_iter()) - before
        }
        assert made <= {"value", "events"}


def test_what_cannot_be_recorded_is_not_done(own: OwnRedis) -> None:
    c = counter("a")
    c.add(5)
    with own.client() as client:
        client.set(f"{shard_prefix(shard_of('a'))}events", "spoilt by a stranger")

    for call in (lambda: c.add(1), lambda: c.set(1)):
        with pytest.raises(CoordinationError, match="WRONGTYPE"):
            call()
    assert c.read() == (5, 1)


def test_the_stream_of_a_shard_does_not_grow_for_ever(own: OwnRedis) -> None:
    c = counter("a")
    with own.client() as client:
        stream = f"{shard_prefix(shard_of('a'))}events"
        for _ in range(25):
            c.add_many([1] * 1_000)
        while client.xlen(stream) > 12_000:
            c.add_many([1] * 500)
            assert c.get() < 100_000

        assert client.xlen(stream) >= 10_000


def test_an_op_id_costs_little_and_is_forgotten_in_time(own: OwnRedis) -> None:
    c = counter("a")
    with own.client() as client:
        c.add_many([(1, f"{number:032x}") for number in range(100)])
        answers = list(client.scan_iter("*answer:a *"))
        sizes = [client.memory_usage(key) or 0 for key in answers]

        assert len(sizes) == 100
        assert max(sizes) < 200
        left_ms = client.pttl(answers[0])
        assert 86_000_000 < left_ms <= 86_400_000


def test_what_was_counted_and_answered_outlives_a_restart(
    tmp_path: Path, use: Callable[..., None]
) -> None:
    server = OwnRedis(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    try:
        use(server.url)
        c = counter("a", minimum=0)
        c.add(5, op_id="five")
        with pytest.raises(BoundExceeded):
            c.add(-9, op_id="nine")
        server.kill()
        with pytest.raises(StoreUnavailable):
            c.add(1)
        server.start()

        assert c.add(5, op_id="five") == 5
        with pytest.raises(BoundExceeded):
            c.add(-9, op_id="nine")
        assert c.add(1) == 6
        assert [past.version for past in c.history()] == [2, 1]
    finally:
        server.kill()


def test_a_frozen_server_is_an_error_within_the_deadline(own: OwnRedis) -> None:
    c, limit = counter("a"), counter.rate_limit("a", limit=5, per=60)
    c.get()
    own.freeze()
    try:
        for call in (
            c.get,
            c.read,
            lambda: c.add(1),
            lambda: c.add_many([1, 2]),
            lambda: c.set(1),
            lambda: c.compare_and_set(0, 1),
            c.history,
            limit.hit,
        ):
            begun = time.monotonic()
            with pytest.raises((OutcomeUnknown, StoreUnavailable)):
                call()
            assert time.monotonic() - begun < DEADLINE_S + 0.5
    finally:
        own.thaw()


async def test_a_frozen_server_is_an_error_for_asyncio_too(own: OwnRedis) -> None:
    c = counter("a")
    c.get()
    own.freeze()
    try:
        begun = time.monotonic()
        with pytest.raises((OutcomeUnknown, StoreUnavailable)):
            await c.aadd(1)
        assert time.monotonic() - begun < DEADLINE_S + 0.5
    finally:
        own.thaw()


def test_positions_rise_though_the_clock_was_set_back(own: OwnRedis) -> None:
    c = counter("a")
    c.add(1)
    with own.client() as client:
        stream = f"{shard_prefix(shard_of('a'))}events"
        ahead = 2**52
        client.xadd(stream, {"e": client.xrevrange(stream)[0][1]["e"]}, id=f"{ahead}-0")
        c.add(1)
        c.set(9)

        ids = [int(entry[0].partition("-")[0]) for entry in client.xrange(stream)]
        assert ids[-2:] == [ahead + 1, ahead + 2]
    assert c.read() == (9, 3)
