"""Who is next, and what a wait leaves behind."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from coordination.exceptions import InvalidArgument
from coordination.locks.api import Lock
from coordination.locks.store import LockStore
from coordination.locks.types import Mode, Over, Released, Waiting
from tests.contract.locks.asking import STAY_MS, asked, have, held, pass_time, seen, until


def test_the_lock_goes_from_hand_to_hand_in_the_order_of_asking(
    made: Callable[..., Lock], threads: ThreadPoolExecutor
) -> None:
    first, order = made(), list[int]()
    held(first.acquire())

    def queue(number: int) -> None:
        with made(wait=10):
            order.append(number)

    waiting: list[Future[None]] = []
    for number in range(5):
        waiting.append(threads.submit(queue, number))
        until(lambda: len(first.info().waiters) == len(waiting))
    first.release()
    for each in waiting:
        each.result(10)

    assert order == [0, 1, 2, 3, 4]


def test_nobody_who_comes_late_gets_in_between(store: LockStore, name: str) -> None:
    holder, waiter, late = asked(name), asked(name), asked(name)
    store.acquire(holder, stay_ms=0)
    store.acquire(waiter, stay_ms=STAY_MS)
    store.release(holder)

    assert store.acquire(late, stay_ms=0) == Waiting(
        place=None, look_again_ms=pytest.approx(1, abs=1_500)
    )
    assert have(store.acquire(waiter, stay_ms=STAY_MS)).token


def test_a_waiter_is_woken_and_does_not_look_for_it(
    made: Callable[..., Lock], threads: ThreadPoolExecutor
) -> None:
    first = made(ttl=30)
    held(first.acquire())
    waiter = threads.submit(lambda: held(made(wait=10).acquire()))
    until(lambda: len(first.info().waiters) == 1)
    pass_time(0.1)
    first.release()

    begun = time.monotonic()
    grant = waiter.result(10)
    assert time.monotonic() - begun < 1  # it looks again later than that
    assert grant.waited >= 0.1
    grant.release()


def test_a_dead_waiter_is_skipped(store: LockStore, name: str) -> None:
    holder, dead, alive = asked(name), asked(name), asked(name)
    store.acquire(holder, stay_ms=0)
    store.acquire(dead, stay_ms=50)
    store.acquire(alive, stay_ms=STAY_MS)
    pass_time(0.06)
    store.release(holder)

    assert have(store.acquire(alive, stay_ms=STAY_MS)).token
    assert store.acquire(dead, stay_ms=0) != Over()


def test_a_lock_handed_to_one_who_died_goes_on_to_the_next(
    made: Callable[..., Lock], store: LockStore, name: str, threads: ThreadPoolExecutor
) -> None:
    holder, dead = asked(name), asked(name)
    store.acquire(holder, stay_ms=0)
    store.acquire(dead, stay_ms=60_000)
    waiter = threads.submit(lambda: held(made(wait=10).acquire()))
    until(lambda: len(seen(store, name).waiters) == 2)
    store.release(holder)

    waiter.result(4).release()


def test_a_dead_holder_is_waited_for_no_longer_than_its_lease(
    made: Callable[..., Lock], store: LockStore, name: str
) -> None:
    store.acquire(asked(name, ttl_ms=500), stay_ms=0)

    grant = held(made(wait=10).acquire())

    assert grant.waited < 0.5 + 2
    grant.release()


def test_a_wait_that_ends_leaks_no_grant(
    made: Callable[..., Lock], threads: ThreadPoolExecutor
) -> None:
    """However the end of the wait and the hand-over fall together."""
    for _ in range(20):
        first = made()
        held(first.acquire())
        waiter = threads.submit(made().acquire, wait=0.02)
        pass_time(0.018)
        first.release()
        taken = waiter.result(10)
        if taken is not None:
            taken.release()

        held(made().acquire(wait=0)).release()


def test_giving_up_a_place_hands_the_lock_on(store: LockStore, name: str) -> None:
    holder, reader, waiter = asked(name), asked(name), asked(name, mode=Mode.SHARED)
    store.acquire(holder, stay_ms=0)
    store.acquire(reader, stay_ms=STAY_MS)
    store.acquire(waiter, stay_ms=STAY_MS)

    assert store.release(reader) is Released.LEFT
    assert [each.id for each in seen(store, name).waiters] == [waiter.id]
    store.release(holder)
    assert have(store.acquire(waiter, stay_ms=STAY_MS)).token


def test_no_two_have_it_at_once(made: Callable[..., Lock], threads: ThreadPoolExecutor) -> None:
    inside: list[int] = []
    tokens: list[int] = []

    def work(number: int) -> None:
        for _ in range(10):
            with made(wait=30) as grant:
                inside.append(number)
                assert inside == [number]
                tokens.append(grant.token)
                inside.remove(number)

    for each in [threads.submit(work, number) for number in range(8)]:
        each.result(60)

    assert len(tokens) == 80
    assert tokens == sorted(tokens)


def test_what_is_handed_over_at_the_end_of_a_wait_goes_on(store: LockStore, name: str) -> None:
    holder, leaving, behind = asked(name), asked(name), asked(name)
    store.acquire(holder, stay_ms=0)
    store.acquire(leaving, stay_ms=STAY_MS)
    store.acquire(behind, stay_ms=STAY_MS)
    store.release(holder)

    assert store.release(leaving) is Released.RELEASED
    assert have(store.acquire(behind, stay_ms=STAY_MS)).token


@pytest.mark.parametrize("queued", [True, False])
def test_a_late_copy_of_a_call_is_not_granted_once_its_caller_left(
    store: LockStore, name: str, queued: bool
) -> None:
    holder, gone = asked(name), asked(name)
    store.acquire(holder, stay_ms=0)
    if queued:
        store.acquire(gone, stay_ms=STAY_MS)
    store.release(gone)
    store.release(holder)

    assert store.acquire(gone, stay_ms=STAY_MS) == Over()
    assert seen(store, name).holders == ()


def test_one_object_is_not_for_two_threads_at_once(
    made: Callable[..., Lock], threads: ThreadPoolExecutor
) -> None:
    holder, one = made(), made(wait=10)
    held(holder.acquire())
    waiter = threads.submit(lambda: held(one.acquire()))
    until(lambda: len(holder.info().waiters) == 1)

    with pytest.raises(InvalidArgument, match="asked for by this object already"):
        one.acquire(wait=0)
    holder.release()
    waiter.result(5).release()
