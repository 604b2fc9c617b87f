"""What a world is made of: processes that can die, places that keep things, work under way."""

from collections.abc import Callable, Generator
from typing import Any

from coordination.verification.simulation.faults import Fault


class Lost(Exception):
    """What became of a statement is not known: the connection broke."""


class Place:
    """Where statements are performed: a database, a store. What it keeps survives its crash.

    `generation` counts its crashes: a session of an earlier one is gone. `offset_us` is how far
    its clock is off. `power_cut` undoes what was not flushed.
    """

    __slots__ = ("generation", "jumped", "name", "offset_us", "power_cut", "up")

    def __init__(self, name: str) -> None:
        self.name = name
        self.up = True
        self.generation = 0
        self.offset_us = 0
        self.power_cut: Callable[[], None] | None = None
        self.jumped: Callable[[], None] | None = None


Request = tuple[Place, str, Callable[..., Any], tuple[Any, ...]]
"""A statement: where it is performed, the name of the step, what it does there."""

Work = Generator[Request | int, Any, Any]
"""What a process does: yields statements, to be sent their answers or thrown `Lost`; or µs, to
sleep. Every yield is a step at which the process may die."""


class Task:
    """One piece of work of a process. `message` is delivered again if it dies, when it has one."""

    __slots__ = ("asking", "dead", "lands", "message", "process", "work")

    def __init__(self, process: "Process", work: Work, message: object) -> None:
        self.process = process
        self.work = work
        self.message = message
        self.dead = False
        self.asking = False
        """Whether a statement of it is on its way."""
        self.lands = False
        """Whether that statement is performed though the process has died meanwhile."""

    @property
    def gone(self) -> bool:
        """Whether nothing of it can happen any more."""
        return self.dead and not self.lands


class Process:
    """Runs tasks and receives messages; loses all of it when it dies.

    `keeps` tells whether messages wait for it while it is down, as at a broker, or are lost, as on
    a bare network.
    """

    __slots__ = (
        "armed",
        "boot",
        "generation",
        "held",
        "keeps",
        "latest",
        "name",
        "paused_until_us",
        "receive",
        "steps",
        "tasks",
        "up",
    )

    def __init__(self, name: str, receive: Callable[[Any], None], *, keeps: bool = True) -> None:
        self.name = name
        self.receive = receive
        self.boot: Callable[[], None] | None = None
        self.keeps = keeps
        self.up = True
        self.paused_until_us = 0
        self.generation = 0
        self.steps = 0
        self.armed: dict[int, Fault] = {}
        self.tasks: dict[Task, None] = {}
        self.held: list[Any] = []
        self.latest = 0
        """The greatest number of a message that has arrived."""
