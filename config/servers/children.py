"""The keeper's children: started, restarted when they die, their output shown, ended together."""

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from config.servers.processes import Program, descendants, send, spawn

_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 5.0
#: A child that lived this long has not failed to start.
_SETTLED_S = 10.0
_GRACE_S = 8.0
_PIPE_BYTES = 65_536


@dataclass(slots=True)
class Child:
    """One program and the process that runs it now, if any."""

    program: Program
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    #: When to start it again, on the monotonic clock; None: not at all.
    restart_at: float | None = None
    failures: int = 0
    output: bytes = b""


class Children:
    """All of them by name. Single threaded: everything happens in :meth:`tend`."""

    def __init__(self) -> None:
        self._by_name: dict[str, Child] = {}
        self._ending = False
        self._selector = selectors.DefaultSelector()
        # The end of a child wakes the selector.
        self._wakeup, sender = socket.socketpair()
        for end in (self._wakeup, sender):
            end.setblocking(False)
        self._sender = sender
        signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self._selector.register(self._wakeup, selectors.EVENT_READ)

    def start(self, program: Program) -> None:
        """Start it, unless it runs already."""
        child = self._by_name.setdefault(program.name, Child(program))
        if child.process is None:
            child.program, child.failures = program, 0
            self._spawn(child)

    def stop(self, name: str) -> None:
        """End it, gently first, and do not start it again."""
        child = self._by_name[name]
        child.restart_at = None
        process = child.process
        if process is None:
            return
        send(process.pid, child.program.stop_signal)
        deadline = time.monotonic() + _GRACE_S
        while child.process is process:
            if time.monotonic() > deadline:
                send(process.pid, signal.SIGKILL)
            self.tend(0.05)
            child.restart_at = None

    def pids(self) -> dict[str, int]:
        """The process of every child that runs now."""
        return {name: child.process.pid for name, child in self._by_name.items() if child.process}

    def failed(self, name: str) -> bool:
        """Whether it keeps ending as soon as it is started."""
        return self._by_name[name].failures >= 5

    def watch(self, descriptor: int) -> None:
        """Let input on ``descriptor`` end the waiting of :meth:`tend`."""
        self._selector.register(descriptor, selectors.EVENT_READ)

    def unwatch(self, descriptor: int) -> None:
        self._selector.unregister(descriptor)

    def tend(self, wait_s: float) -> bool:
        """Wait a while, show output, reap and restart; True when watched input is there."""
        watched = False
        for key, _ in self._selector.select(wait_s):
            if key.fileobj is self._wakeup:
                self._wakeup.recv(_PIPE_BYTES)
            elif isinstance(key.data, Child):
                self._show(key.fileobj, key.data)
            else:
                watched = True
        self._reap()
        for child in self._by_name.values():
            if child.restart_at is not None and time.monotonic() >= child.restart_at:
                self._spawn(child)
        return watched

    def end(self, *, gently: bool) -> None:
        """End every descendant, what uses the servers before the servers; until none is left."""
        self._ending = True
        for child in self._by_name.values():
            child.restart_at = None
        grace_s = _GRACE_S if gently else 1.0
        self._end_all([c for c in self._by_name.values() if c.program.log is None], grace_s)
        self._end_all(list(self._by_name.values()), grace_s)
        while left := descendants(os.getpid()):
            for pid in left:
                send(pid, signal.SIGKILL)
            self.tend(0.02)

    def _end_all(self, children: list[Child], grace_s: float) -> None:
        for child in children:
            if child.process is not None:
                send(child.process.pid, child.program.stop_signal)
        deadline = time.monotonic() + grace_s
        while left := [child.process.pid for child in children if child.process is not None]:
            if time.monotonic() > deadline:
                for pid in left:
                    send(pid, signal.SIGKILL)
            self.tend(0.05)

    def _spawn(self, child: Child) -> None:
        child.process = spawn(child.program)
        child.started_at = time.monotonic()
        child.restart_at = None
        if child.process.stdout is not None:
            os.set_blocking(child.process.stdout.fileno(), False)
            self._selector.register(child.process.stdout, selectors.EVENT_READ, child)

    def _show(self, output: Any, child: Child) -> None:
        """Whole lines only, each with the child's name before it."""
        try:
            got = os.read(output.fileno(), _PIPE_BYTES)
        except BlockingIOError:
            return
        if not got:
            self._selector.unregister(output)
            # Not os.close(): the object would close the number again, which others bear by then.
            output.close()
        *lines, child.output = (child.output + got).split(b"\n")
        label = f"{child.program.name:<16} | ".encode()
        try:
            sys.stderr.buffer.write(b"".join(label + line + b"\n" for line in lines))
            sys.stderr.buffer.flush()
        except OSError:
            # Nobody reads any more; the owner's end is noticed elsewhere.
            pass

    def _reap(self) -> None:
        """Collect whoever ended: our own children, and orphans below them."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._by_name.values():
                process = child.process
                if process is not None and process.pid == pid:
                    self._ended(child, process, os.waitstatus_to_exitcode(status))

    def _ended(self, child: Child, process: subprocess.Popen[bytes], code: int) -> None:
        # Reaped by us, not by its Popen, which must not wait for the number's next bearer.
        process.returncode = code
        child.process = None
        now = time.monotonic()
        child.failures = 0 if now - child.started_at > _SETTLED_S else child.failures + 1
        if child.program.restarts and not self._ending:
            delay = min(_FIRST_DELAY_S * 2 ** max(child.failures - 1, 0), _LONGEST_DELAY_S)
            child.restart_at = now + delay
            if child.program.log is None:
                print(f"{child.program.name} ended ({code}): started again", file=sys.stderr)
