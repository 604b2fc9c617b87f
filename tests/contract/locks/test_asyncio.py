"""Locks from asyncio."""

import asyncio
from collections.abc import Callable

import pytest

from coordination import lock
from coordination.exceptions import InvalidArgument, LockLost, LockTimeout, NotOwner
from coordination.locks.api import Lock
from tests.contract.locks.asking import held, until


async def test_tasks_have_it_one_after_the_other(made: Callable[..., Lock]) -> None:
    inside: list[int] = []
    tokens: list[int] = []

    async def work(number: int) -> None:
        async with made(wait=30) as grant:
            inside.append(number)
            await asyncio.sleep(0)
            assert inside == [number]
            tokens.append(grant.token)
            inside.remove(number)

    await asyncio.gather(*(work(number) for number in range(20)))

    assert len(tokens) == 20
    assert tokens == sorted(tokens)


async def test_the_verbs_have_twins(made: Callable[..., Lock]) -> None:
    one = made()
    grant = held(await one.aacquire())
    ends = grant.expires_at
    await one.arenew()
    assert grant.expires_at > ends
    assert await made().aacquire(wait=0) is None
    await one.arelease()

    with pytest.raises(NotOwner):
        await one.arelease()
    with pytest.raises(LockLost):
        await grant.arenew()


async def test_a_task_that_is_cancelled_while_it_waits_leaves_no_grant(
    made: Callable[..., Lock],
) -> None:
    holder = made()
    await holder.aacquire()
    waiter = asyncio.create_task(made(wait=30).aacquire())
    await asyncio.to_thread(until, lambda: len(holder.info().waiters) == 1)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    await holder.arelease()

    await held(await made().aacquire(wait=3)).arelease()
    assert (await asyncio.to_thread(holder.info)).waiters == ()


async def test_a_hundred_tasks_wait_and_none_is_forgotten(made: Callable[..., Lock]) -> None:
    holder = made()
    await holder.aacquire()
    served: list[float] = []

    async def work() -> None:
        async with made(wait=60) as grant:
            served.append(grant.waited)

    waiting = [asyncio.create_task(work()) for _ in range(100)]
    await asyncio.to_thread(until, lambda: len(holder.info().waiters) == 100)
    await holder.arelease()
    await asyncio.gather(*waiting)

    assert len(served) == 100


async def test_entering_a_busy_lock_raises_when_the_wait_is_over(made: Callable[..., Lock]) -> None:
    async with made():
        with pytest.raises(LockTimeout):
            async with made(wait=0.05):
                pytest.fail("entered")


async def test_a_lock_that_was_lost_is_told_on_leaving(
    made: Callable[..., Lock], name: str, using: str
) -> None:
    with pytest.raises(LockLost):
        async with made():
            await asyncio.to_thread(
                lambda: lock.force_release(name, reason="stuck", actor="me", using=using)
            )
    with pytest.raises(ZeroDivisionError):
        async with made():
            _ = 1 / 0
    assert (await asyncio.to_thread(made().info)).holders == ()


async def test_a_call_that_would_stop_the_event_loop_is_refused(made: Callable[..., Lock]) -> None:
    with pytest.raises(InvalidArgument, match="use aacquire there"):
        made().acquire()
    grant = held(await made().aacquire())
    with pytest.raises(InvalidArgument, match="use arelease there"):
        grant.release()
    with pytest.raises(InvalidArgument, match="use arenew there"):
        grant.renew()
    await grant.arelease()


async def test_one_object_is_not_for_a_thread_and_a_task_at_once(made: Callable[..., Lock]) -> None:
    holder, one = made(), made(wait=10)
    await holder.aacquire()
    waiter = asyncio.create_task(asyncio.to_thread(one.acquire))
    await asyncio.to_thread(until, lambda: len(holder.info().waiters) == 1)

    with pytest.raises(InvalidArgument, match="asked for by this object already"):
        await one.aacquire(wait=0)
    await holder.arelease()
    await held(await waiter).arelease()
