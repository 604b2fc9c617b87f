"""Exceptions that a signal's handler raises while a thread waits for Redis."""

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from coordination import lock
from coordination.locks.stores import lock_store
from coordination.locks.stores.redis import RedisLocks
from tests.contract.locks.asking import held, until
from tests.integration.own_redis import OwnRedis, own_redis
from tests.integration.redis_locks import own

__all__ = ["own", "own_redis"]

SECONDS = 4
WOKEN_WITHIN_S = 0.7
"""Less than after which a waiter looks by himself."""


@pytest.mark.timeout(60)
def test_a_process_outlives_whatever_a_signal_interrupts_and_wakes_its_waiters() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.integration.interrupted_waits", str(SECONDS)],
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr[-2000:]
    seen = json.loads(ran.stdout)
    assert seen["interrupted"] > 20
    assert seen["granted"] > 20
    assert seen["slowest_s"] < WOKEN_WITHIN_S


def test_a_turn_to_read_that_nobody_gave_back_is_taken_by_the_next(own: OwnRedis) -> None:
    store = lock_store("redis")
    assert isinstance(store, RedisLocks)
    bells = store._bells
    with bells.hung("gone") as gone:
        assert bells._takes_turn(gone)
    first = held(lock("a", renew=False).acquire())
    heard = threading.Event()

    def second() -> None:
        lock("a", renew=False).acquire(wait=10)
        heard.set()

    with ThreadPoolExecutor() as pool:
        pool.submit(second)
        until(lambda: len(lock("a").info().waiters) == 1)
        until(lambda: bells._turn.get(None) not in (None, gone))
        first.release()
        assert heard.wait(WOKEN_WITHIN_S)
