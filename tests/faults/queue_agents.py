"""Forked processes that publish and consume; each tells in a file of its own what it saw."""

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from coordination import queue
from coordination.exceptions import CoordinationError, StaleReceipt
from coordination.queues.api import Queue
from coordination.queues.delivery import Delivery
from tests.contract.locks.asking import pass_time
from tests.integration.forked_child import fork


class Told:
    """What one child tells, a line a fact: a word and the id of a message."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def line(self, what: str, id_: str) -> None:
        """Written whole: a line that it is killed in has no end."""
        with self._log.open("a") as file:
            file.write(f"{what} {id_}\n")


@dataclass(slots=True)
class Agent:
    """One child: its pid and the file it writes to."""

    pid: int
    log: Path
    ended: bool = False

    def send(self, number: signal.Signals) -> None:
        if not self.ended:
            os.kill(self.pid, number)

    def wait(self) -> int:
        """How it ended, as a shell tells."""
        if self.ended:
            return 0
        _, status = os.waitpid(self.pid, 0)
        self.ended = True
        return os.waitstatus_to_exitcode(status)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self.wait()

    def told(self, what: str) -> list[str]:
        """Ids of what it told with this word."""
        lines = self.log.read_text().split("\n")[:-1] if self.log.exists() else []
        facts = [line.split(" ", 1) for line in lines]
        return [id_ for word, id_ in facts if word == what]


def start(log: Path, work: Callable[[Told], None]) -> Agent:
    """Fork a child that does `work`."""

    def child() -> bool:
        work(Told(log))
        return True

    return Agent(fork(child), log)


def produce(name: str, *, using: str, seconds: float) -> Callable[[Told], None]:
    """Publish, alone and in batches, and tell the ids of what the store has for sure."""

    def work(told: Told) -> None:
        chance, until = random.Random(os.getpid()), time.monotonic() + seconds
        q = queue(name, using=using)
        while time.monotonic() < until:
            try:
                for id_ in q.publish_many(range(chance.choice([1, 1, 3, 20]))):
                    told.line("published", id_)
            except CoordinationError:
                pass_time(0.02)
            # So that the store still has every event when they are counted.
            pass_time(chance.choice([0.005, 0.01, 0.03]))

    return work


def consume(name: str, *, using: str, seconds: float) -> Callable[[Told], None]:
    """Take, work a moment, ack most, fail some; tell what was taken and acked for sure."""

    def work(told: Told) -> None:
        chance, until = random.Random(os.getpid()), time.monotonic() + seconds
        q = queue(name, using=using)
        while time.monotonic() < until:
            try:
                for message in q.reserve(batch=chance.choice([1, 2, 10]), wait=0.2):
                    told.line("took", message.id)
                    pass_time(chance.choice([0, 0, 0.002]))
                    _settle(message, chance, told)
            except CoordinationError:
                pass_time(0.02)

    return work


def _settle(message: Delivery, chance: random.Random, told: Told) -> None:
    try:
        if chance.random() < 0.1:
            message.nack(delay=0)
        else:
            message.ack()
            told.line("acked", message.id)
    except StaleReceipt:
        told.line("stale", message.id)


def run(name: str, *, using: str, killed_by: object) -> Callable[[Told], None]:
    """A supervised consumer that dies of one body, in the middle of its handler."""

    def work(told: Told) -> None:
        def handler(message: Delivery) -> None:
            told.line("begun", str(message.body))
            if message.body == killed_by:
                os.kill(os.getpid(), signal.SIGKILL)
            pass_time(0.01)
            told.line("done", str(message.body))

        queue(name, using=using).run(handler, concurrency=4)

    return work


def drain(q: Queue, told: Told, *, wait: float) -> None:
    """Ack all that is left."""
    while taken := q.reserve(batch=100, wait=wait):
        q.ack(taken)
        for message in taken:
            told.line("acked", message.id)
