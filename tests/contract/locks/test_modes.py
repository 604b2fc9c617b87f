"""Permits of a semaphore and parties of a barrier, below their public names."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from coordination.locks import waiting
from coordination.locks.store import LockStore
from coordination.locks.types import Held, Kind, Mode, Over, Released, Request, Resource, Waiting
from tests.contract.locks.asking import STAY_MS, asked, have, pass_time


def permit(name: str, limit: int, *, ttl_ms: int = 5_000) -> Request:
    resource = Resource(Kind.SEMAPHORE, name)
    return replace(asked(name, mode=Mode.PERMIT, ttl_ms=ttl_ms), resource=resource, limit=limit)


def party(name: str, limit: int) -> Request:
    resource = Resource(Kind.BARRIER, name)
    return replace(asked(name, mode=Mode.PARTY), resource=resource, limit=limit)


def test_no_more_than_the_permits_are_out_at_once(store: LockStore, name: str) -> None:
    first, second, third = (permit(name, 2) for _ in range(3))
    tokens = [have(store.acquire(each, stay_ms=0)).token for each in (first, second)]
    assert len(set(tokens)) == 2

    assert isinstance(store.acquire(third, stay_ms=STAY_MS), Waiting)
    assert store.release(first) is Released.RELEASED
    assert store.release(first) is Released.RELEASED  # gives nothing back a second time
    assert have(store.acquire(third, stay_ms=STAY_MS)).token > max(tokens)
    assert isinstance(store.acquire(permit(name, 2), stay_ms=0), Waiting)


def test_the_permit_of_a_dead_holder_comes_back(store: LockStore, name: str) -> None:
    have(store.acquire(permit(name, 1, ttl_ms=50), stay_ms=0))
    pass_time(0.06)

    have(store.acquire(permit(name, 1), stay_ms=0))


def test_a_party_is_let_go_together_each_with_its_place(store: LockStore, name: str) -> None:
    here = [party(name, 3) for _ in range(3)]
    for each in here[:2]:
        waits = store.acquire(each, stay_ms=STAY_MS)
        assert isinstance(waits, Waiting)
        assert waits.look_again_ms > 100  # nobody's lease stands in the way

    last = have(store.acquire(here[2], stay_ms=STAY_MS))
    others = [have(store.acquire(each, stay_ms=STAY_MS)) for each in here[:2]]

    assert [each.index for each in (*others, last)] == [0, 1, 2]
    assert len({each.token for each in (*others, last)}) == 3
    again = have(store.acquire(here[1], stay_ms=STAY_MS))
    assert (again.token, again.index) == (others[1].token, 1)


def test_a_barrier_may_be_used_again_while_the_last_party_leaves(
    store: LockStore, name: str
) -> None:
    first, second = ([party(name, 2) for _ in range(2)] for _ in range(2))
    for each in (*first, *second):
        store.acquire(each, stay_ms=STAY_MS)

    found = [have(store.acquire(each, stay_ms=STAY_MS)) for each in (*first, *second)]

    assert [each.index for each in found] == [0, 1, 0, 1]
    assert [store.release(each) for each in first] == [Released.RELEASED] * 2


def test_the_dead_do_not_count_for_a_party(store: LockStore, name: str) -> None:
    store.acquire(party(name, 2), stay_ms=30)
    pass_time(0.05)
    alone = party(name, 2)

    assert isinstance(store.acquire(alone, stay_ms=STAY_MS), Waiting)
    assert store.release(alone) is Released.LEFT
    assert store.acquire(alone, stay_ms=STAY_MS) == Over()


def test_one_who_does_not_wait_completes_a_party_or_leaves_no_trace(
    store: LockStore, name: str
) -> None:
    assert isinstance(store.acquire(party(name, 2), stay_ms=0), Waiting)
    store.acquire(party(name, 2), stay_ms=STAY_MS)

    assert have(store.acquire(party(name, 2), stay_ms=0)).index == 1


def test_parties_that_wait_are_woken(
    store: LockStore, name: str, threads: ThreadPoolExecutor
) -> None:
    def come(_: int) -> int:
        taken = waiting.take(store, party(name, 4), wait_s=10)
        assert taken is not None
        assert isinstance(taken[0], Held)
        return taken[0].index

    assert sorted(threads.map(come, range(8))) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_kinds_of_one_name_do_not_meet(store: LockStore) -> None:
    name = secrets.token_hex(4)

    have(store.acquire(asked(name), stay_ms=0))
    have(store.acquire(permit(name, 1), stay_ms=0))
    assert isinstance(store.acquire(party(name, 2), stay_ms=0), Waiting)
