"""Concord's own processes (workers, sweeper, load), kept running by the servers' keeper."""

import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from config.servers import Servers

WORKER = (
    *("-m", "celery", "--quiet", "--app", "config", "worker", "--without-gossip"),
    *("--without-mingle", "--without-heartbeat", "--loglevel", "ERROR"),
)
COMMANDS: dict[str, tuple[str, ...]] = {
    "prepare": (*WORKER, "--queues", "bank.prepare", "--concurrency", "2", "-n", "prepare@%h"),
    "finish": (
        *(*WORKER, "--queues", "bank.finish,bank.decide"),
        *("--concurrency", "2", "-n", "finish@%h"),
    ),
    "call": (*WORKER, "--queues", "bank.call,celery", "--concurrency", "1", "-n", "call@%h"),
    "sweep": ("manage.py", "concord", "sweep"),
    "observe": ("manage.py", "concord", "observe"),
}


def wait_until(
    what: str, holds: Callable[[], bool], *, within_s: float = 30, pause_s: float = 0.05
) -> float:
    """Return the seconds until `holds()`; fail naming `what` when it does not in time."""
    started, pause = time.monotonic(), threading.Event()
    while not holds():
        assert time.monotonic() - started < within_s, f"{what}: not within {within_s:g} s"
        pause.wait(pause_s)
    return time.monotonic() - started


@dataclass
class Stack:
    """Processes of one test. One that is killed is started again, as a supervisor would."""

    servers: Servers
    environment: Mapping[str, str]
    names: list[str] = field(default_factory=list)

    def start(self, *names: str) -> None:
        for name in names:
            self.run(name, COMMANDS[name])

    def run(
        self, name: str, command: tuple[str, ...], environment: Mapping[str, str] | None = None
    ) -> None:
        """Run another program of the project under `name`."""
        self.names.append(name)
        self.servers.run(
            name, [sys.executable, *command], {**self.environment, **(environment or {})}
        )

    def pid(self, name: str) -> int:
        return self.servers.pid(name)

    def halt(self, *names: str) -> None:
        for name in names:
            self.names.remove(name)
            self.servers.halt(name)

    def stop(self) -> None:
        self.halt(*reversed(self.names.copy()))
