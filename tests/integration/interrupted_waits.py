"""A process whose waits for a lock are interrupted by exceptions from a signal, as Celery's soft
time limit raises them. It prints what it saw, as JSON.
"""

import faulthandler
import json
import random
import signal
import sys
import threading
import time
from types import FrameType

import django

SPREAD_S = 0.008
"""Within how long of its begin a wait is interrupted: while it sends, or while it reads."""


class Interrupted(Exception):
    """What the handler raises."""


def interrupt(_number: int, _frame: FrameType | None) -> None:
    raise Interrupted


def main(seconds: float) -> None:
    faulthandler.dump_traceback_later(20 + seconds, exit=True)
    django.setup()
    signal.signal(signal.SIGALRM, interrupt)
    until, seen = time.monotonic() + seconds, {"interrupted": 0, "granted": 0}
    while time.monotonic() < until:
        # Of its own each: one whose grant was interrupted is held until its lease ends.
        seen[once(f"interrupted-{random.getrandbits(64):x}")] += 1
    print(json.dumps(seen | {"slowest_s": max(woken_after() for _ in range(5))}))


def once(name: str) -> str:
    """Wait for a lock that another thread gives back, unless the signal comes first."""
    from coordination import lock

    held = lock(name, renew=False).acquire(wait=0)
    assert held is not None
    helper = threading.Timer(SPREAD_S / 2 * random.random(), held.release)
    helper.start()
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, SPREAD_S * random.random() + 1e-5)
            lock(name, renew=False).acquire(wait=5)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except Interrupted:
        return "interrupted"
    finally:
        helper.join()
    return "granted"


def woken_after() -> float:
    """How long after the release another waiter of this process has the lock."""
    from coordination import lock

    name, had = f"woken-{random.getrandbits(64):x}", list[float]()
    first = lock(name, renew=False).acquire(wait=0)
    assert first is not None

    def second() -> None:
        granted = lock(name, renew=False).acquire(wait=10)
        had.append(time.monotonic())
        assert granted is not None
        granted.release()

    waiter = threading.Thread(target=second)
    waiter.start()
    while not lock(name).info().waiters:
        waiter.join(0.01)
    # Until it listens, besides having asked.
    waiter.join(0.1)
    released_at = time.monotonic()
    first.release()
    waiter.join()
    return had[0] - released_at


if __name__ == "__main__":
    main(float(sys.argv[1]))
