"""Several locks together."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from coordination import lock, multilock
from coordination.exceptions import InvalidArgument, LockLost, LockTimeout
from coordination.locks.api import Lock
from coordination.locks.multilocks import MultiGrant, MultiLock
from tests.contract.locks.asking import until


@pytest.fixture
def names(name: str) -> tuple[str, str, str]:
    return f"{name}:c", f"{name}:a", f"{name}:b"


@pytest.fixture
def both(names: tuple[str, ...], using: str) -> Callable[..., MultiLock]:
    def make(**options: object) -> MultiLock:
        return multilock(*names, using=using, **options)

    return make


@pytest.fixture
def one(using: str) -> Callable[[str], Lock]:
    return lambda name: lock(name, using=using)


def test_all_are_held_in_the_order_of_their_names(
    both: Callable[..., MultiLock], names: tuple[str, ...], one: Callable[[str], Lock]
) -> None:
    with both() as grant:
        assert list(grant.tokens) == sorted(names)
        assert [one(name).info().token for name in sorted(names)] == list(grant.tokens.values())
        assert [one(name).acquire(wait=0) for name in names] == [None] * 3
        grant.ensure_held()
        grant.renew()
    assert all(one(name).info().holders == () for name in names)


def test_none_is_kept_when_one_is_busy(
    both: Callable[..., MultiLock], names: tuple[str, ...], one: Callable[[str], Lock]
) -> None:
    with one(names[0]):
        assert both().acquire(wait=0) is None
        with pytest.raises(LockTimeout):
            both(wait=0.05).__enter__()
        assert [len(one(name).info().holders) for name in sorted(names)] == [0, 0, 1]


def test_those_who_want_the_same_in_another_order_do_not_deadlock(
    names: tuple[str, ...], using: str, threads: ThreadPoolExecutor
) -> None:
    def work(order: tuple[str, ...]) -> int:
        for _ in range(5):
            with multilock(*order, using=using, wait=30):
                pass
        return 5

    orders = [names, names[::-1], (names[1], names[0])]
    assert [each.result(60) for each in [threads.submit(work, order) for order in orders]] == [
        5
    ] * 3


def test_the_wait_is_for_all_of_them_together(
    both: Callable[..., MultiLock],
    names: tuple[str, ...],
    one: Callable[[str], Lock],
    threads: ThreadPoolExecutor,
) -> None:
    last = one(max(names))
    with last:
        waiter = threads.submit(both(wait=10).acquire)
        until(lambda: len(last.info().waiters) == 1)
    grant = waiter.result(5)
    assert isinstance(grant, MultiGrant)
    grant.release()


def test_losing_one_is_told_on_leaving_and_the_others_are_given_back(
    both: Callable[..., MultiLock], names: tuple[str, ...], one: Callable[[str], Lock], using: str
) -> None:
    with pytest.raises(LockLost), both():
        lock.force_release(names[1], reason="test", actor="me", using=using)
    assert all(one(name).info().holders == () for name in names)


async def test_tasks_take_several_locks(
    both: Callable[..., MultiLock], names: tuple[str, ...], one: Callable[[str], Lock]
) -> None:
    async with both() as grant:
        assert list(grant.tokens) == sorted(names)
        assert await both().aacquire(wait=0) is None
    assert await one(names[0]).aacquire(wait=0) is not None


def test_bad_names_are_refused(using: str) -> None:
    with pytest.raises(InvalidArgument, match="at least one"):
        multilock(using=using)
    with pytest.raises(InvalidArgument, match="'a' more than once"):
        multilock("a", "b", "a", using=using)


def test_it_may_be_taken_again(both: Callable[..., MultiLock]) -> None:
    one = both()
    for _ in range(2):
        with one:
            assert both().acquire(wait=0) is None
    grant = one.acquire()
    assert grant is not None
    grant.release()
    with one:
        pass


async def test_a_task_is_told_that_one_was_lost(
    both: Callable[..., MultiLock], names: tuple[str, ...], using: str
) -> None:
    with pytest.raises(LockLost):
        async with both():
            await asyncio.to_thread(
                lambda: lock.force_release(names[1], reason="test", actor="me", using=using)
            )
