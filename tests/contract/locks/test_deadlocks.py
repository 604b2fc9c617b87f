"""Those who wait for each other are told."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from coordination import lock, semaphore
from coordination.exceptions import Deadlock
from coordination.locks.api import Lock


@pytest.fixture
def part(name: str, using: str) -> Callable[[str], Lock]:
    """Locks whose names begin with the test's own."""
    return lambda suffix: lock(f"{name}:{suffix}", using=using, wait=30)


def crossing(
    one: Callable[[str], Lock], order: str, met: threading.Barrier
) -> tuple[str, Deadlock | None]:
    """Take two locks in this order, the second when everybody has the first of his."""
    with one(order[0]):
        met.wait(10)
        try:
            with one(order[1]):
                return "through", None
        except Deadlock as deadlock:
            return "gave way", deadlock


@pytest.mark.parametrize("orders", [("ab", "ba"), ("ab", "bc", "ca")])
def test_one_of_those_who_wait_for_each_other_gives_way_and_the_others_go_on(
    part: Callable[[str], Lock], orders: tuple[str, ...], threads: ThreadPoolExecutor
) -> None:
    met = threading.Barrier(len(orders))
    running = [threads.submit(crossing, part, order, met) for order in orders]
    results = [each.result(20) for each in running]

    assert sorted(outcome for outcome, _ in results) == [
        "gave way",
        *["through"] * (len(orders) - 1),
    ]
    (told,) = [deadlock for _, deadlock in results if deadlock is not None]
    assert told.applied is False
    assert len(told.cycle) == len(orders)
    assert str(told).count(" waits for lock ") == len(orders)
    for letter in "abc":
        assert part(letter).info().waiters == part(letter).info().holders == ()


def test_a_thread_that_waits_for_its_own_lock_is_told(made: Callable[..., Lock]) -> None:
    with made():
        with pytest.raises(Deadlock, match=r"waits for lock .* behind"):
            made(wait=30).acquire()


def test_a_cycle_through_a_semaphore_is_found(
    part: Callable[[str], Lock], name: str, using: str, threads: ThreadPoolExecutor
) -> None:
    met = threading.Barrier(2)

    def lock_first() -> str:
        with part("a"):
            met.wait(10)
            with semaphore(name, permits=1, using=using, wait=30):
                return "through"

    def permit_first() -> str:
        with semaphore(name, permits=1, using=using):
            met.wait(10)
            with part("a"):
                return "through"

    running = [threads.submit(lock_first), threads.submit(permit_first)]
    errors = [each.exception(20) for each in running]

    assert sorted(type(error).__name__ for error in errors) == ["Deadlock", "NoneType"]


async def test_a_task_is_told_too(made: Callable[..., Lock]) -> None:
    async with made():
        with pytest.raises(Deadlock):
            await made(wait=30).aacquire()
