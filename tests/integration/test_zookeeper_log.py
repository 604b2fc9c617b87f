"""What is recorded in ZooKeeper, and what is left behind there."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from coordination import lock
from coordination.exceptions import LockLost
from coordination.locks.stores.zookeeper import ZooKeeperLocks, journal
from coordination.locks.types import Kind, Resource, Waiting
from tests.contract.locks.asking import asked, have, held, until
from tests.integration.own_zookeeper import OwnZooKeeper, own_zookeeper
from tests.integration.zookeeper_store import client_of, names, own, root, threads, use

__all__ = ["own", "own_zookeeper", "root", "threads", "use"]


def test_every_change_leaves_an_event_and_none_is_missing(own: ZooKeeperLocks) -> None:
    first, second = lock("a", owner="first"), lock("a", owner="second")
    held(first.acquire())
    waiter = asked("a")
    own.acquire(waiter, stay_ms=5_000)
    first.renew()
    lock.request_revoke("a", reason="deploy", actor="operator")
    first.release()
    have(own.acquire(waiter, stay_ms=5_000))
    lock.force_release("a", reason="test", actor="operator")
    with second:
        pass
    own.release(asked("a"))

    found = own.events()

    assert [each.position for each in found] == list(range(len(found)))
    assert [each.kind for each in found] == [
        f"lock.{kind}"
        for kind in (
            *("granted", "waiting", "renewed", "revoke_asked", "released", "granted", "forced"),
            *("granted", "released", "release_refused"),
        )
    ]
    assert {each.resource for each in found} == {Resource(Kind.LOCK, "a")}
    tokens = [each.token for each in found if each.kind == "lock.granted"]
    assert None not in tokens
    assert tokens == sorted(set(tokens), key=str)
    assert found[0].fields["owner"] == "first"
    assert found[6].fields["reason"] == "test"
    assert own.events(after=found[4].position) == found[5:]


def test_positions_have_no_gap_over_the_segments_of_the_log(
    own: ZooKeeperLocks, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SEGMENT_EVENTS", 20)
    monkeypatch.setattr(journal, "SEGMENTS_KEPT", 3)
    seen_so_far: dict[int, str] = {}

    def work(number: int) -> None:
        for _ in range(25):
            with lock(f"a{number}"):
                pass

    def read() -> None:
        last = max(seen_so_far, default=-1)
        seen_so_far.update({each.position: each.id for each in own.events(after=last)})

    working = [threads.submit(work, number) for number in range(4)]
    while not all(each.done() for each in working):
        read()
    for each in working:
        each.result()
    read()

    assert list(seen_so_far) == list(range(200))
    until(lambda: own.events()[0].position > 0)


def test_an_expired_lease_and_a_refused_release_are_told(own: ZooKeeperLocks) -> None:
    late = held(lock("a", ttl=0.05, renew=False).acquire())
    until(lambda: lock("a").info().holders == ())
    with pytest.raises(LockLost):
        late.renew()
    own.release(late.request)

    kinds = [each.kind for each in own.events()]
    assert kinds == ["lock.granted", "lock.expired", "lock.release_refused"]


def test_a_lease_that_ran_out_is_removed_although_nobody_asks(
    own: ZooKeeperLocks, own_zookeeper: OwnZooKeeper, root: str
) -> None:
    held(lock("a", ttl=0.1, renew=False).acquire())
    until(lambda: names(own_zookeeper, root) == [], within_s=6)
    assert [each.kind for each in own.events()] == ["lock.granted", "lock.expired"]


def test_many_names_leave_nothing_behind_but_events(
    own: ZooKeeperLocks, own_zookeeper: OwnZooKeeper, root: str
) -> None:
    for number in range(30):
        own.acquire(request := replace(asked(f"n{number}/x"), kept_ms=100), stay_ms=0)
        own.release(request)

    with own_zookeeper.client() as client:
        top = f"{root}/concord"
        until(lambda: not any(client.get_children(f"{top}/{each}") for each in (*Kind, "done")))


def test_waiting_long_leaves_one_watch(
    own: ZooKeeperLocks, own_zookeeper: OwnZooKeeper, root: str
) -> None:
    holder, waiter = asked("a", ttl_ms=60_000), asked("a")
    have(own.acquire(holder, stay_ms=0))
    for _ in range(20):
        assert isinstance(own.acquire(waiter, stay_ms=5_000), Waiting)

    kept = client_of()._child_watchers
    assert sum(len(watchers) for watchers in kept.values()) == 1
    own.release(waiter)
    own.release(holder)
    until(lambda: not sum(len(watchers) for watchers in kept.values()))


def test_a_waiter_looks_at_one_node_and_not_at_all_of_them(own: ZooKeeperLocks) -> None:
    requests = [asked("a", ttl_ms=60_000) for _ in range(6)]
    for request in (*requests, *requests):
        own.acquire(request, stay_ms=60_000)
    watched = client_of()._child_watchers

    assert sorted(len(watchers) for watchers in watched.values() if watchers) == [1] * 5
