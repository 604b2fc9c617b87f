"""Forks that run none of Python's hooks, as uWSGI's by default."""

import ctypes
import os

from coordination import lock
from coordination.locks.grant import Grant
from tests.integration.own_redis import OwnRedis, own_redis
from tests.integration.redis_locks import own

__all__ = ["own", "own_redis"]


def test_two_children_do_not_hold_the_same_lock(own: OwnRedis) -> None:
    lock("warm").info()  # what a server does before it forks
    told, tell = os.pipe()
    children = [_forked(tell) for _ in range(2)]
    for pid in children:
        os.waitpid(pid, 0)
    os.close(tell)
    with os.fdopen(told) as lines:
        answers = sorted(lines.read().split())

    assert answers == ["busy", "held"]


def _forked(tell: int) -> int:
    # Not `os.fork`, which runs the hooks.
    pid = int(ctypes.PyDLL(None).fork())
    if pid == 0:
        answer = "failed"
        try:
            grant: Grant | None = lock("a", renew=False).acquire(wait=0)
            answer = "busy" if grant is None else "held"
        finally:
            os.write(tell, f"{answer}\n".encode())
            os._exit(0)
    return pid
