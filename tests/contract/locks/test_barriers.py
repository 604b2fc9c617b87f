"""Nobody goes on before so many have come."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from coordination import barrier
from coordination.exceptions import InvalidArgument, LockTimeout
from coordination.locks.barriers import Barrier
from coordination.locks.store import LockStore
from coordination.locks.types import Kind, Mode, Resource, Waiting
from tests.contract.locks.asking import asked, have, pass_time, until


@pytest.fixture
def gate(using: str, name: str) -> Callable[..., Barrier]:
    """Makes barriers of this test's name."""

    def make(parties: int = 3) -> Barrier:
        return barrier(name, parties=parties, using=using)

    return make


def test_all_go_on_together_and_know_the_order_of_their_arrival(
    gate: Callable[..., Barrier], threads: ThreadPoolExecutor
) -> None:
    waiting = []
    for number in range(2):
        waiting.append(threads.submit(gate().wait, 10))
        until(lambda number=number: len(gate().info().waiters) == number + 1)
    assert not any(each.done() for each in waiting)

    assert gate().wait(10) == 2
    assert [each.result(5) for each in waiting] == [0, 1]


def test_a_barrier_may_be_used_again_at_once(
    gate: Callable[..., Barrier], threads: ThreadPoolExecutor
) -> None:
    def rounds() -> list[int]:
        return [gate(4).wait(20) for _ in range(5)]

    indexes = [each.result(60) for each in [threads.submit(rounds) for _ in range(4)]]

    assert [sorted(places) for places in zip(*indexes, strict=True)] == [[0, 1, 2, 3]] * 5


def test_who_came_alone_is_told_and_leaves_nothing_behind(gate: Callable[..., Barrier]) -> None:
    with pytest.raises(LockTimeout, match=r"fewer than 3 had come after 0\.05 s"):
        gate().wait(0.05)
    with pytest.raises(LockTimeout):
        gate().wait(0)
    assert gate().info().waiters == ()
    assert gate(1).wait(0) == 0


def test_who_died_waiting_does_not_count(store: LockStore, name: str) -> None:
    def party(number: int) -> object:
        return replace(asked(name), resource=Resource(Kind.BARRIER, name), mode=Mode.PARTY, limit=2)

    dead, first, second = (party(number) for number in range(3))
    store.acquire(dead, stay_ms=50)  # type: ignore[arg-type]
    pass_time(0.06)

    assert isinstance(store.acquire(first, stay_ms=5_000), Waiting)  # type: ignore[arg-type]
    assert have(store.acquire(second, stay_ms=5_000)).index == 1  # type: ignore[arg-type]
    assert have(store.acquire(first, stay_ms=5_000)).index == 0  # type: ignore[arg-type]


async def test_tasks_meet_at_a_barrier(gate: Callable[..., Barrier]) -> None:
    import asyncio

    places = await asyncio.gather(*(gate(5).wait_async(10) for _ in range(5)))

    assert sorted(places) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("parties", [0, None, 2.0])
def test_a_bad_number_of_parties_is_refused(gate: Callable[..., Barrier], parties: int) -> None:
    with pytest.raises(InvalidArgument, match="parties must be an int from 1"):
        gate(parties)
