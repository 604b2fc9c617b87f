"""Counters in ZooKeeper when the reply, the connection or the server fails."""

import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_django import Settings

from coordination import counter, registry
from coordination.counters.stores import zookeeper as store
from coordination.exceptions import BoundExceeded, OutcomeUnknown, StoreUnavailable
from tests.contract.locks.asking import until
from tests.contract.threads import at_once
from tests.integration.counter_verbs import VERBS
from tests.integration.own_zookeeper import LosingProxy, OwnZooKeeper, own_zookeeper
from tests.integration.zookeeper_store import root

__all__ = ["own_zookeeper", "root"]

DEADLINE_S = 0.5


@pytest.fixture
def use(settings: Settings) -> Iterator[Callable[..., None]]:
    """Make a ZooKeeper the store of counters."""

    def use(location: str, *, deadline_s: float = DEADLINE_S, op_id_ttl_s: float = 86_400) -> None:
        options = {"DEADLINE": deadline_s, "CONNECT": deadline_s, "SESSION": 2}
        made = {"BACKEND": "zookeeper", "LOCATION": location, "OPTIONS": options}
        settings.COORDINATION = {
            "NODE": "test",
            "STORES": {"zookeeper": made},
            "OP_ID_TTL": op_id_ttl_s,
        }

    yield use
    registry.zookeeper_store("zookeeper").close()


@pytest.fixture
def own(own_zookeeper: OwnZooKeeper, use: Callable[..., None], root: str) -> OwnZooKeeper:
    use(f"{own_zookeeper.hosts}{root}", deadline_s=5)
    return own_zookeeper


@pytest.mark.parametrize("verb", VERBS)
def test_a_change_whose_reply_was_lost_is_made_once(
    own_zookeeper: OwnZooKeeper, use: Callable[..., None], root: str, verb: str
) -> None:
    call, answer, after = VERBS[verb]
    with LosingProxy(own_zookeeper.port) as proxy:
        use(f"{proxy.hosts}{root}", deadline_s=10)
        c = counter("a")
        c.set(10)

        proxy.lose_next()
        assert call(c) == answer

        assert proxy.lost.is_set()
        assert c.read() == after
        assert len(c.history()) == after[1]
        registry.zookeeper_store("zookeeper").close()


def test_the_first_change_of_a_name_is_made_once_though_its_reply_was_lost(
    own_zookeeper: OwnZooKeeper, use: Callable[..., None], root: str
) -> None:
    with LosingProxy(own_zookeeper.port) as proxy:
        use(f"{proxy.hosts}{root}", deadline_s=10)
        counter("other").add(1)

        proxy.lose_next()
        assert counter("a", initial=5).add(1) == 6

        assert proxy.lost.is_set()
        assert counter("a").read() == (6, 1)
        registry.zookeeper_store("zookeeper").close()


def test_adds_at_once_with_lost_replies_are_each_counted_once(
    own_zookeeper: OwnZooKeeper, use: Callable[..., None], root: str
) -> None:
    with LosingProxy(own_zookeeper.port) as proxy:
        use(f"{proxy.hosts}{root}", deadline_s=20)
        c = counter("a")
        c.add(0)

        def losing() -> int:
            for _ in range(5):
                proxy.lose_next()
                c.add(1)
            return 5

        def adding() -> int:
            for _ in range(10):
                c.add(1)
            return 10

        assert sum(at_once(losing, adding, adding)) == 25
        assert c.read() == (25, 26)
        registry.zookeeper_store("zookeeper").close()


@pytest.mark.usefixtures("own")
def test_what_was_counted_and_answered_outlives_a_restart(own_zookeeper: OwnZooKeeper) -> None:
    c = counter("a", minimum=0)
    c.add(5, op_id="five")
    with pytest.raises(BoundExceeded):
        c.add(-9, op_id="nine")
    own_zookeeper.kill()
    own_zookeeper.start()
    until(lambda: _answers(c.get), within_s=20)

    assert c.add(5, op_id="five") == 5
    with pytest.raises(BoundExceeded):
        c.add(-9, op_id="nine")
    assert c.add(1) == 6


def test_a_frozen_server_is_an_error_within_the_deadline(
    own_zookeeper: OwnZooKeeper, use: Callable[..., None], root: str
) -> None:
    use(f"{own_zookeeper.hosts}{root}")
    c = counter("a")
    until(lambda: _answers(lambda: c.add(1)), within_s=20)
    own_zookeeper.freeze()
    try:
        for call in (
            c.get,
            lambda: c.add(1),
            lambda: c.add_many([1] * 5),
            lambda: c.set(1),
            c.history,
        ):
            begun = time.monotonic()
            with pytest.raises((OutcomeUnknown, StoreUnavailable)):
                found = call()
                # A batch tells of each by itself.
                assert isinstance(found, list)
                raise found[0]
            assert time.monotonic() - begun < DEADLINE_S + 0.5
    finally:
        own_zookeeper.thaw()


def _answers(call: Callable[[], Any]) -> bool:
    try:
        call()
    except (OutcomeUnknown, StoreUnavailable):
        return False
    return True


def test_op_ids_are_remembered_for_their_time_and_then_removed(
    own_zookeeper: OwnZooKeeper, use: Callable[..., None], root: str
) -> None:
    use(f"{own_zookeeper.hosts}{root}", deadline_s=5, op_id_ttl_s=0.3)
    c = counter("a")
    with own_zookeeper.client() as client:
        path = f"{root}/concord/counters/a/o"
        begun = time.monotonic()
        c.add(1, op_id="first")
        while time.monotonic() - begun < 0.25:
            assert c.add(1, op_id="first") == 1
        rounds = 0
        while rounds < 2 or len(client.get_children(path)) > 2:
            c.add(1, op_id=secrets.token_hex(4))
            rounds += 1
            assert rounds < 1_000
        until(lambda: c.add(1, op_id=secrets.token_hex(4)) > 0)
        until(
            lambda: (
                c.add(1, op_id=secrets.token_hex(4)) > 0 and "0" not in client.get_children(path)
            )
        )
        assert len(client.get_children(path)) <= 2


def test_the_last_events_of_a_counter_are_kept_and_no_more(
    own: OwnZooKeeper, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "EVENTS_KEPT", 5)
    c = counter("a")
    for _ in range(12):
        c.add(1)

    with own.client() as client:
        assert len(client.get_children(f"{root}/concord/counters/a/e")) == 5
    assert [past.version for past in c.history()] == [12, 11, 10, 9, 8]


@pytest.mark.usefixtures("own")
def test_many_who_change_one_counter_all_get_their_turn() -> None:
    c = counter("a")
    at_once(*[lambda: [c.add(1) for _ in range(10)] for _ in range(8)])

    assert c.read() == (80, 80)
