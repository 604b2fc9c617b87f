"""At most so many at once, and a lease for each."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from coordination import lock, semaphore
from coordination.exceptions import InvalidArgument, NotOwner
from coordination.locks.semaphores import Semaphore
from tests.contract.locks.asking import held, until


@pytest.fixture
def permit(using: str, name: str) -> Callable[..., Semaphore]:
    """Makes semaphores of this test's name."""

    def make(permits: int = 2, **options: object) -> Semaphore:
        return semaphore(name, permits=permits, using=using, **options)

    return make


def test_so_many_have_a_permit_and_the_next_one_waits(
    permit: Callable[..., Semaphore], threads: ThreadPoolExecutor
) -> None:
    first, second = held(permit().acquire()), held(permit().acquire())
    assert permit().acquire(wait=0) is None
    assert first.token != second.token

    waiter = threads.submit(lambda: held(permit(wait=10).acquire()))
    until(lambda: len(permit().info().waiters) == 1)
    second.release()
    third = waiter.result(5)

    assert third.token > second.token
    for grant in (first, third):
        grant.release()
    assert permit().info().holders == ()


def test_a_permit_given_back_twice_does_not_let_one_more_in(
    permit: Callable[..., Semaphore],
) -> None:
    grants = [held(permit().acquire()) for _ in range(2)]
    grants[0].release()
    with pytest.raises(NotOwner):
        grants[0].release()
    third = held(permit().acquire(wait=0))

    assert permit().acquire(wait=0) is None
    for grant in (grants[1], third):
        grant.release()


def test_the_permit_of_a_dead_holder_is_free_when_its_lease_ends(
    permit: Callable[..., Semaphore],
) -> None:
    held(permit(1, ttl=0.2, renew=False).acquire())

    assert held(permit(1, wait=5).acquire()).waited < 2.5


def test_never_more_than_so_many_are_inside(
    permit: Callable[..., Semaphore], threads: ThreadPoolExecutor
) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        for _ in range(5):
            with permit(3, wait=30):
                inside.append(number)
                most.append(len(inside))
                inside.remove(number)

    for each in [threads.submit(work, number) for number in range(8)]:
        each.result(60)

    assert len(most) == 40
    assert max(most) <= 3


def test_a_lock_and_a_semaphore_of_one_name_do_not_meet(
    permit: Callable[..., Semaphore], using: str, name: str
) -> None:
    with permit(1), lock(name, using=using, wait=0):
        assert permit(1).acquire(wait=0) is None


@pytest.mark.parametrize("permits", [0, -1, 1.5, True, "5", 10_001])
def test_a_bad_number_of_permits_is_refused(permit: Callable[..., Semaphore], permits: int) -> None:
    with pytest.raises(InvalidArgument, match="permits must be an int from 1 to 10000"):
        permit(permits)


def test_a_semaphore_cannot_be_shared(permit: Callable[..., Semaphore]) -> None:
    with pytest.raises(InvalidArgument, match="shared"):
        permit(shared=True)
