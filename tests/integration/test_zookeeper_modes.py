"""Semaphores, readers and barriers in ZooKeeper, below their public names."""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from coordination.locks.bells import Bell
from coordination.locks.stores import lock_store
from coordination.locks.stores.zookeeper import ZooKeeperLocks
from coordination.locks.types import Held, Kind, Mode, Released, Request, Resource, State, Waiting
from tests.contract.locks.asking import asked, have, pass_time, until

STAY_MS = 5_000


@pytest.fixture
def store(zookeeper_store: str) -> ZooKeeperLocks:
    locks = lock_store(zookeeper_store)
    assert isinstance(locks, ZooKeeperLocks)
    return locks


@pytest.fixture
def name() -> str:
    return f"test:{secrets.token_hex(6)}"


def permit(name: str, limit: int, *, ttl_ms: int = 5_000) -> Request:
    asking = asked(name, mode=Mode.PERMIT, ttl_ms=ttl_ms)
    return replace(asking, limit=limit, resource=Resource(Kind.SEMAPHORE, name))


def member(name: str, limit: int) -> Request:
    asking = asked(name, mode=Mode.PARTY)
    return replace(asking, limit=limit, resource=Resource(Kind.BARRIER, name))


@contextmanager
def listening(store: ZooKeeperLocks, request: Request) -> Iterator[Bell]:
    """The bell of a request, after the ring with which it is hung."""
    with store.bell(request) as bell:
        assert bell.wait(0)
        yield bell


def ask(store: ZooKeeperLocks, request: Request, *, stay_ms: int = STAY_MS) -> object:
    return store.acquire(request, stay_ms=stay_ms)


def told(store: ZooKeeperLocks, *, after: int) -> list[tuple[str, str]]:
    return [(each.kind, each.id) for each in store.events(after=after)]


def test_no_more_hold_permits_than_there_are(store: ZooKeeperLocks, name: str) -> None:
    holders = [permit(name, 3) for _ in range(3)]
    tokens = [have(ask(store, each, stay_ms=0)).token for each in holders]
    assert tokens == sorted(set(tokens))

    late = permit(name, 3)
    assert isinstance(ask(store, late, stay_ms=0), Waiting)
    assert len(store.info(late.resource).holders) == 3
    store.release(holders[1])
    assert have(ask(store, late, stay_ms=0)).token > tokens[-1]


def test_permits_go_to_those_who_wait_in_the_order_of_asking(
    store: ZooKeeperLocks, name: str
) -> None:
    holders = [permit(name, 2) for _ in range(2)]
    waiters = [permit(name, 2) for _ in range(3)]
    for each in (*holders, *waiters):
        ask(store, each)

    assert isinstance(ask(store, permit(name, 2), stay_ms=0), Waiting)
    store.release(holders[1])
    assert ask(store, waiters[1]) == Waiting(place=1, look_again_ms=pytest.approx(1_000, abs=6_000))
    assert isinstance(ask(store, waiters[0]), Held)
    store.release(holders[0])
    assert isinstance(ask(store, waiters[1]), Held)
    assert isinstance(ask(store, waiters[2]), Waiting)


def test_whoever_is_next_for_a_permit_is_woken_and_nobody_else(
    store: ZooKeeperLocks, name: str
) -> None:
    holder, first, second = permit(name, 1), permit(name, 1), permit(name, 1)
    for each in (holder, first, second):
        ask(store, each)
    with listening(store, first) as woken, listening(store, second) as asleep:
        for each in (first, second):
            ask(store, each)
        store.release(holder)

        assert woken.wait(2)
        assert not asleep.wait(0.1)
    assert isinstance(ask(store, first), Held)


def test_a_dead_holder_of_a_permit_makes_room(store: ZooKeeperLocks, name: str) -> None:
    living, dead, waiter = permit(name, 2), permit(name, 2, ttl_ms=50), permit(name, 2)
    for each in (living, dead):
        have(ask(store, each))
    pass_time(0.06)

    assert isinstance(ask(store, waiter), Held)
    assert store.release(dead) is Released.LOST
    assert store.release(living) is Released.RELEASED


def test_a_party_is_let_go_together_and_each_has_its_place(
    store: ZooKeeperLocks, name: str
) -> None:
    members = [member(name, 3) for _ in range(3)]
    for each in members[:2]:
        assert isinstance(ask(store, each), Waiting)
    with listening(store, members[0]) as woken:
        ask(store, members[0])
        last = have(ask(store, members[2]))
        assert woken.wait(2)

    assert last.index == 2
    assert [have(ask(store, each)).index for each in members] == [0, 1, 2]


def test_a_barrier_may_be_used_again_before_everybody_left_it(
    store: ZooKeeperLocks, name: str
) -> None:
    rounds = [[member(name, 2) for _ in range(2)] for _ in range(3)]
    indexes = []
    for members in rounds:
        for each in members:
            ask(store, each)
        indexes.append([have(ask(store, each)).index for each in members])

    assert indexes == [[0, 1]] * 3


def test_a_member_that_gave_up_is_not_counted(store: ZooKeeperLocks, name: str) -> None:
    gone, dead, one, other = (member(name, 2) for _ in range(4))
    ask(store, gone)
    assert store.release(gone) is Released.LEFT
    ask(store, dead, stay_ms=50)
    pass_time(0.06)

    assert isinstance(ask(store, one), Waiting)
    assert have(ask(store, other)).index == 1
    assert have(ask(store, one)).index == 0


def test_a_reader_is_woken_by_the_writer_in_front_and_not_by_readers(
    store: ZooKeeperLocks, name: str
) -> None:
    reader, writer, late = (
        asked(name, mode=mode) for mode in (Mode.SHARED, Mode.EXCLUSIVE, Mode.SHARED)
    )
    for each in (reader, writer, late):
        ask(store, each)
    with listening(store, late) as woken:
        ask(store, late)
        store.release(reader)
        assert not woken.wait(0.1)
        have(ask(store, writer))
        store.release(writer)
        assert woken.wait(2)
    assert isinstance(ask(store, late), Held)


@pytest.mark.parametrize("mode", list(Mode))
def test_a_waiter_does_not_wake_itself(store: ZooKeeperLocks, name: str, mode: Mode) -> None:
    """Keeping its place writes its own node, which it may be watching."""
    limit = 3 if mode is Mode.PARTY else 1
    holder, waiter = asked(name), replace(asked(name, mode=mode), limit=limit)
    have(ask(store, holder))
    with listening(store, waiter) as bell:
        for _ in range(3):
            assert isinstance(ask(store, waiter), Waiting)
        assert not bell.wait(0.2)


def test_a_name_that_is_waited_for_is_found(store: ZooKeeperLocks, name: str) -> None:
    holder, waiter, alone = asked(name), asked(name), asked(f"{name}:alone")
    for each in (holder, waiter, alone):
        ask(store, each)

    found = {each.resource: each for each in store.contended()}

    assert [each.id for each in found[holder.resource].waiters] == [waiter.id]
    assert alone.resource not in found


def test_whoever_may_have_it_and_has_not_come_is_seen_as_handed_it(
    store: ZooKeeperLocks, name: str
) -> None:
    holder, waiter = asked(name), asked(name)
    for each in (holder, waiter):
        ask(store, each)
    last = -1
    while page := store.events(after=last):
        last = page[-1].position
    store.release(holder)

    (claimant,) = store.info(holder.resource).holders
    assert (claimant.id, claimant.state, claimant.token) == (waiter.id, State.HANDED, None)
    until(lambda: ("lock.handed", waiter.id) in told(store, after=last))
    assert have(ask(store, waiter)).token
    assert store.info(holder.resource).holders[0].state is State.HELD


def test_many_threads_wake_each_other_without_looking(store: ZooKeeperLocks, name: str) -> None:
    """Each waits for its bell alone: a wake-up that got lost would take seconds."""
    order: list[int] = []
    requests = [asked(name, ttl_ms=30_000) for _ in range(6)]
    for request in requests:
        ask(store, request, stay_ms=30_000)

    def take(number: int, bell: Bell) -> None:
        while not isinstance(ask(store, requests[number], stay_ms=30_000), Held):
            assert bell.wait(10)
        order.append(number)
        store.release(requests[number])

    def work(number: int) -> None:
        with store.bell(requests[number]) as bell:
            take(number, bell)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert order == list(range(6))
