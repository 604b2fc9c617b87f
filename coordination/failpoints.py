"""Named points at which a test can stop, kill or fail a process.

Off unless the environment names a directory in ``CONCORD_FAILPOINTS_DIR``; the app refuses to
start with that variable unless ``COORDINATION["FAILPOINTS"]`` is True. In the directory:

``<name>.hit``     created by ``hit``: the point was reached (one line, the pid, per process)
``<name>.arm``     written by the test: JSON ``{"action": ..., "pid": n, "ms": n, "signal": 9}``
``<name>.fired``   the arm file after one process claimed it, renamed just before it acts

Actions: ``kill`` this process, ``kill-parent``, ``kill-pid`` (``pid``), ``pause`` (``ms``) and
``raise`` (``FailpointRaised``).
"""

import json
import os
import re
import signal
import threading
import time
from pathlib import Path

ENVIRONMENT = "CONCORD_FAILPOINTS_DIR"
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")

_directory: str | None = os.environ.get(ENVIRONMENT) or None
_seen: set[tuple[int, str]] = set()


class FailpointRaised(RuntimeError):
    """An armed failpoint was told to raise here."""


def hit(name: str) -> None:
    """Mark that the named point was reached and perform its action if a test armed it."""
    if _directory is None:
        return
    _reach(_directory, name)


def enabled() -> bool:
    """Tell whether the environment enables failpoints in this process."""
    return _directory is not None


def _reach(directory: str, name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is not a failpoint name ({_NAME.pattern})")
    path = f"{directory}/{name}"
    pid = os.getpid()
    if (pid, name) not in _seen:
        _seen.add((pid, name))
        _append(f"{path}.hit", f"{pid}\n")
    # A name of our own first: two processes must never read one arm file.
    claimed = Path(f"{path}.claimed-{pid}-{threading.get_ident()}")
    try:
        Path(f"{path}.arm").rename(claimed)
    except FileNotFoundError:
        return
    order = json.loads(claimed.read_bytes())
    claimed.rename(f"{path}.fired")
    _perform(name, order)


def _append(path: str, line: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def _perform(name: str, order: dict[str, object]) -> None:
    match order:
        case {"action": "kill"}:
            os.kill(os.getpid(), _signal(order))
        case {"action": "kill-parent"}:
            os.kill(os.getppid(), _signal(order))
        case {"action": "kill-pid", "pid": int(pid)} if pid > 1:
            os.kill(pid, _signal(order))
        case {"action": "pause", "ms": int(ms)}:
            time.sleep(ms / 1000)
        case {"action": "raise"}:
            raise FailpointRaised(name)
        case _:
            raise ValueError(f"failpoint {name} is armed with an unknown order: {order!r}")


def _signal(order: dict[str, object]) -> signal.Signals:
    number = order.get("signal", signal.SIGKILL)
    return signal.Signals(int(str(number)))
