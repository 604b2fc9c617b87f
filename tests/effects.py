"""What a transaction does to a counter or a queue, behind one face; its branch step by step."""

import itertools
import json
import secrets
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace

import pytest

from coordination import counter, queue
from coordination.queues.api import Queue
from coordination.transactions import finishing, runner
from coordination.transactions.api import DistributedTransaction
from coordination.transactions.plan import Enlisted, enlisted
from coordination.transactions.types import Ballot, Form, Outcome, Result, Vote, Work

COUNTERS_HELD = ["counter-redis", "counter-sqlite", "counter-zookeeper"]
QUEUES_HELD = ["queue-redis", "queue-sqlite", "queue-rabbitmq"]
"""Where room is held until the decision."""
_numbers = itertools.count(1)


FIXTURES = {
    "redis": "redis_queues",
    "database": "postgresql_queues",
    "sqlite": "sqlite_queues",
    "rabbitmq": "rabbitmq_queues",
    "zookeeper": "zookeeper_store",
}
"""Store → the fixture that gives its alias."""


@dataclass
class Effect(ABC):
    """One counter or queue of a test's own. A unit is an addition of 1, or a message."""

    using: str
    name: str = field(default_factory=lambda: f"test:{secrets.token_hex(6)}")
    room: int | None = None
    """How many units there is room for; None: no bound."""

    @abstractmethod
    def part(self, units: int = 1) -> Enlisted:
        """A branch of so many units."""

    @abstractmethod
    def enlist(self, tx: DistributedTransaction) -> None:
        """Let a transaction do one unit more."""

    @abstractmethod
    def do(self) -> None:
        """One unit at once, by no transaction. Raises where there is no room."""

    @abstractmethod
    def seen(self) -> int:
        """How many units others see."""

    def work(self, *, units: int = 1, remaining_ms: int = 30_000, node: str = "effect") -> Work:
        """A branch of a transaction that nobody else has heard of."""
        part = self.part(units)
        return Work(
            gid=f"{node}-{next(_numbers):08x}-{secrets.token_hex(8)}",
            seq=1,
            participant=part.participant,
            using=part.using,
            mode=part.mode,
            form=Form.PREPARE,
            args=json.loads(part.args_json),
            remaining_ms=remaining_ms,
        )


class Added(Effect):
    """A counter."""

    def part(self, units: int = 1) -> Enlisted:
        options = {"counter": self.name, "using": self.using, "amount": units}
        return enlisted("concord.counter.add", {**options, "maximum": self.room})

    def enlist(self, tx: DistributedTransaction) -> None:
        tx.add(self.name, using=self.using, maximum=self.room)

    def do(self) -> None:
        counter(self.name, using=self.using, maximum=self.room).add()

    def seen(self) -> int:
        return counter(self.name, using=self.using, maximum=self.room).get()


class Published(Effect):
    """A queue."""

    def part(self, units: int = 1) -> Enlisted:
        args = {"queue": self.name, "using": self.using}
        messages = [{"body": {"n": number}} for number in range(units)]
        declared = {} if self.room is None else {"max_length": self.room}
        return enlisted(
            "concord.queue.publish", args | {"messages": messages, "declared": declared}
        )

    def enlist(self, tx: DistributedTransaction) -> None:
        tx.publish(self.queue, {"n": 0})

    def do(self) -> None:
        self.queue.publish({"n": 0})

    def seen(self) -> int:
        return self.queue.stats().held

    @property
    def queue(self) -> Queue:
        declared = {} if self.room is None else {"max_length": self.room}
        return queue(self.name, using=self.using, **declared)


def effect_of(request: pytest.FixtureRequest) -> Effect:
    """That of a fixture's parameter, as `counter-redis`."""
    kind, _, store = request.param.partition("-")
    alias = request.getfixturevalue(FIXTURES[store])
    return (Added if kind == "counter" else Published)(using=alias)


def prepare(work: Work) -> Ballot:
    """What a message to prepare does."""
    return runner.answer(work)


def finish(work: Work, outcome: Outcome) -> Result:
    """What a message to finish does."""
    return finishing.end(work, outcome)


def prepared(work: Work) -> Work:
    """The same work, of a branch that voted yes."""
    ballot = prepare(work)
    assert ballot.vote is Vote.YES, ballot
    return work


def late(work: Work) -> Work:
    """The same work, for a process that comes to it after the deadline."""
    return replace(work, remaining_ms=0)
