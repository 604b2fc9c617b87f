"""Processes that contend for one lock, each a fork of the test's own."""

import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from coordination import lock
from tests.contract.locks.asking import held, pass_time
from tests.integration.forked_child import fork, succeeded


def all_served(alias: str, folder: Path, *, processes: int, rounds: int) -> list[str]:
    """Let each have the lock `rounds` times; what went wrong, two inside at once among it."""

    def contend() -> bool:
        try:
            for _ in range(rounds):
                with lock("fought-over", using=alias, wait=60):
                    (folder / "inside").touch(exist_ok=False)
                    pass_time(0.001)
                    (folder / "inside").unlink()
        except Exception:
            (folder / f"failed-{os.getpid()}").write_text(traceback.format_exc())
            raise
        return True

    children = [fork(contend) for _ in range(processes)]
    served = [succeeded(child) for child in children]
    failures = [path.read_text() for path in folder.glob("failed-*")]
    return failures if failures or all(served) else ["a process died"]


@contextmanager
def child(work: Callable[[], None]) -> Iterator[int]:
    """A forked process that does `work` and stays; it is killed at the end at the latest."""

    def stay() -> bool:
        work()
        signal.pause()
        return True

    pid = fork(stay)
    try:
        yield pid
    finally:
        kill(pid)


def kill(pid: int) -> None:
    """End it at once, if it has not ended; it can tell nobody."""
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def holding(alias: str, name: str, *, ttl: float) -> Callable[[], None]:
    """Work of a child: take the lock and keep it."""
    return lambda: held(lock(name, using=alias, ttl=ttl).acquire()) and None


def waiting(alias: str, name: str) -> Callable[[], None]:
    """Work of a child: wait for the lock."""
    return lambda: lock(name, using=alias, wait=60).acquire() and None
