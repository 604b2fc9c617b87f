"""A hundred tasks of one event loop that want one lock at once. An agent's module."""

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

from bench.addresses import redis_url
from bench.chunks import Case, Chunk
from bench.locks.names import (
    ASYNC_CONCORD,
    ASYNC_POTTERY,
    ASYNC_REDIS_PY,
    ASYNC_REDIS_PY_1MS,
)
from bench.locks.ways import LEASE_S, PATIENCE_S

WAITERS = 100
HOLD_S = 0.001

Hold = Callable[[str], AbstractAsyncContextManager[object]]


class Waiters:
    """A case: each chunk is one round, in which every task has the lock once."""

    chunk_s = 0.0

    def __init__(self, name: str, make: Callable[[], Hold]) -> None:
        self.name = name
        self._make = make
        self._hold: Hold | None = None
        # Clients belong to a loop, so one serves all rounds.
        self._runner = asyncio.Runner()

    def run(self, seconds: float) -> Chunk:
        return self._runner.run(self._round())

    def repeat(self, operations: int) -> int:
        """One round, however many that are."""
        return len(self.run(0).latencies)

    async def _round(self) -> Chunk:
        if self._hold is None:
            self._hold = self._make()
        visit = _Visit(self._hold, f"bench:{secrets.token_hex(6)}")
        cpu, begun = time.process_time(), time.perf_counter()
        waits = await asyncio.gather(*(visit() for _ in range(WAITERS)))
        return Chunk(
            latencies=tuple(waits),
            elapsed=time.perf_counter() - begun,
            cpu=time.process_time() - cpu,
            violations=visit.violations,
        )


class _Visit:
    """What every task of a round does."""

    def __init__(self, hold: Hold, lock: str) -> None:
        self._hold = hold
        self._lock = lock
        self._inside = 0
        self.violations = 0

    async def __call__(self) -> float:
        asked = time.perf_counter()
        async with self._hold(self._lock):
            waited = time.perf_counter() - asked
            self.violations += self._inside > 0
            self._inside += 1
            await asyncio.sleep(HOLD_S)
            self._inside -= 1
        return waited


def cases() -> list[Case]:
    """Those that can be had in an event loop."""
    return [
        Waiters(ASYNC_CONCORD, _concord),
        Waiters(ASYNC_REDIS_PY, partial(_redis_py, 0.1)),
        Waiters(ASYNC_REDIS_PY_1MS, partial(_redis_py, 0.001)),
        Waiters(ASYNC_POTTERY, _pottery),
    ]


def _concord() -> Hold:
    from coordination import lock

    return partial(lock, ttl=LEASE_S, wait=PATIENCE_S, using="redis")


def _redis_py(sleep_s: float) -> Hold:
    from redis.asyncio import Redis

    return partial(Redis.from_url(redis_url()).lock, timeout=LEASE_S, sleep=sleep_s)


def _pottery() -> Hold:
    from pottery import AIORedlock
    from redis.asyncio import Redis

    client = Redis.from_url(redis_url())
    return lambda name: AIORedlock(key=name, masters={client}, auto_release_time=LEASE_S)
