"""Forked processes that do a part of a test, and are killed in the middle of it."""

import json
import os
import signal
import sqlite3
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import connections

CHILD_S = 60
POLL_S = 0.01

_inherited: list[Any] = []
"""In a child: the parent's connections, which may neither be used nor closed."""


@dataclass(slots=True)
class Child:
    """A forked process. `work` is called in it; what it returns has to be JSON."""

    pid: int
    pipe: int

    def told(self) -> Any:
        """What its work returned. Raises AssertionError with its error, or if it was too slow."""
        status, text = self._ended()
        if status != 0 or not text:
            raise AssertionError(f"the child process ended with {status}: {text or 'no word'}")
        return json.loads(text)

    def killed(self) -> None:
        """Wait for the end of one that kills itself. Raises AssertionError for any other end."""
        status, text = self._ended()
        if status != -signal.SIGKILL:
            raise AssertionError(
                "the child process was to be killed in the middle of its work, "
                f"but it ended with {status}: {text or 'no word'}"
            )

    def _ended(self) -> tuple[int, str]:
        until = time.monotonic() + CHILD_S
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid != 0:
                break
            if time.monotonic() > until:
                os.kill(self.pid, signal.SIGKILL)
                until = float("inf")
            time.sleep(POLL_S)
        with os.fdopen(self.pipe) as pipe:
            return os.waitstatus_to_exitcode(status), pipe.read()


def start(work: Callable[[], Any]) -> Child:
    """Run `work` in a forked child of its own connections."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # The child runs no code but this module's and the participant's, and no thread's.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid != 0:
        os.close(writing)
        return Child(pid, reading)
    code = 1
    try:
        os.close(reading)
        _leave_connections()
        os.write(writing, json.dumps(work()).encode())
        code = 0
    except BaseException as error:  # noqa: BLE001 - the parent tells of it
        os.write(writing, f"{type(error).__name__}: {error}".encode()[:4_000])
    finally:
        os._exit(code)


def start_at_once(work: Callable[[], Any], *, number: int) -> list[Child]:
    """Run `work` in so many children, none of which begins before all of them are there."""
    (ready, is_ready), (gate, opens) = os.pipe(), os.pipe()

    def wait_and_work() -> Any:
        os.close(opens)
        os.write(is_ready, b".")
        os.read(gate, 1)  # returns when the parent has closed its end
        return work()

    started = [start(wait_and_work) for _ in range(number)]
    os.close(is_ready)
    for _ in range(number):
        os.read(ready, 1)
    for end in (ready, gate, opens):
        os.close(end)
    return started


def die(*_args: object, **_kwargs: object) -> None:
    """End this process as a crash does."""
    os.kill(os.getpid(), signal.SIGKILL)


def reaches(using: str) -> bool:
    """Whether another process can open this database: not one in memory."""
    if not using or connections[using].vendor != "sqlite":
        return True
    name = str(connections[using].settings_dict["NAME"])
    return not (name == ":memory:" or "mode=memory" in name)


def _leave_connections() -> None:
    for connection in connections.all(initialized_only=True):
        if isinstance(connection.connection, sqlite3.Connection):
            # SQLite forbids even to close it here; the reference keeps it open until the exit.
            _inherited.append(connection.connection)
        _inherited.append(connection.connection)
        connection.connection = None
        connection.in_atomic_block = False
