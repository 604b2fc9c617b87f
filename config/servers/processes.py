"""Starting a program so that it cannot outlive its keeper, and finding what it started."""

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from config.servers.accounts import Account

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run, and how it is told to end."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    account: Account | None = None
    #: Where its output goes; None: a pipe that the keeper prefixes with the name and shows.
    log: Path | None = None
    stop_signal: int = signal.SIGTERM
    restarts: bool = True


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_with(parent: int) -> None:
    """Have the kernel send this process SIGTERM when ``parent`` ends, however it ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def spawn(program: Program) -> subprocess.Popen[bytes]:
    """Start ``program`` in a session of its own, killed by the kernel if this process ends.

    Only for a process without threads: the kernel's promise is bound to the thread that forks.
    """
    keeper = os.getpid()

    def tie() -> None:
        # After the change of account, which would undo it.
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != keeper:
            os._exit(1)

    account = program.account
    with ExitStack() as stack:
        log = None if program.log is None else stack.enter_context(program.log.open("ab"))
        return subprocess.Popen(  # noqa: S603 - arguments of our own making, no shell
            program.arguments,
            cwd=program.folder,
            env=dict(program.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if log is None else log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=tie,  # noqa: PLW1509 - no threads here
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else [],
        )


def descendants(of: int) -> list[int]:
    """The living processes below ``of``, whatever sessions they moved to."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            state, parent = _state_and_parent(entry)
            if state not in ("Z", "X", ""):
                children.setdefault(parent, []).append(int(entry.name))
    found, queue = [], [of]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def _state_and_parent(entry: Path) -> tuple[str, int]:
    try:
        # The command's name, in parentheses, may itself hold spaces and parentheses.
        state, parent, *_ = (entry / "stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return "", 0
    return state, int(parent)


def send(pid: int, number: int) -> None:
    """Send a signal to a process that may be gone by now."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
