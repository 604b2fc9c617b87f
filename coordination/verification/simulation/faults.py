"""What goes wrong in a schedule: a list of faults, drawn from a seed and small enough to shrink."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from coordination.verification.simulation.chance import Chance

FAULTS_END_US = 20_000_000
"""From here on nothing fails: what is down is up, what is cut is whole."""


class FaultKind(StrEnum):
    """How something fails."""

    MESSAGE_LOST = "message lost"
    MESSAGE_DUPLICATED = "message duplicated"
    MESSAGE_LATE = "message late"
    MESSAGE_REORDERED = "message reordered"
    """Never planned: one message overtook another on its way to the same process."""
    PARTITION = "partition"
    CRASH = "crash"
    """Of a process, before or after one of its steps; what it held in memory is gone."""
    PAUSE = "pause"
    """Of a process: it does nothing, and then goes on as if no time had passed."""
    STATEMENT_LOST = "statement lost"
    """It was not performed, and its sender does not know."""
    REPLY_LOST = "reply lost"
    """It was performed, and its sender does not know."""
    DATABASE_CRASH = "database crash"
    """What was not flushed is gone, sessions end, what is prepared stays."""
    CLOCK_JUMP = "clock jump"
    FOREIGN_ENDING = "foreign ending"
    """Somebody ends a prepared branch by hand: the one fault after which atomicity may break."""


BY_MESSAGE = (FaultKind.MESSAGE_LOST, FaultKind.MESSAGE_DUPLICATED, FaultKind.MESSAGE_LATE)
BY_STEP = (FaultKind.CRASH, FaultKind.PAUSE, FaultKind.STATEMENT_LOST, FaultKind.REPLY_LOST)
BY_TIME = (
    FaultKind.PARTITION,
    FaultKind.DATABASE_CRASH,
    FaultKind.CLOCK_JUMP,
    FaultKind.FOREIGN_ENDING,
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong. If its place is never reached, it does not occur."""

    kind: FaultKind
    at: int
    """The number of a message of the run or of a step of the target, from 1; else µs."""
    target: tuple[str, ...] = ()
    """The process, the databases, or one side of a partition."""
    span_us: int = 0
    """How long it lasts; of a clock's jump, how far, with its sign."""
    after: bool = False
    """Whether it comes after the step rather than before it. Of a foreign ending: a commit."""

    def __str__(self) -> str:
        where = "+".join(self.target)
        if self.kind in BY_MESSAGE:
            at = f"message {self.at}"
        elif self.kind in BY_STEP:
            at = f"{where}, {'after' if self.after else 'before'} step {self.at}"
        else:
            at = f"{where} at {self.at / 1000:g} ms"
        span = f" for {self.span_us / 1000:g} ms" if self.span_us else ""
        return f"{self.kind}: {at}{span}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hazards:
    """What may fail in a world: kinds, and the names they may strike.

    `databases` may crash, `clocks` may jump; `prepared` are those in which branches are prepared.
    """

    kinds: tuple[FaultKind, ...]
    processes: tuple[str, ...]
    databases: tuple[str, ...] = ()
    clocks: tuple[str, ...] = ()
    prepared: tuple[str, ...] = ()
    messages: tuple[int, ...] = (3, 6, 14)
    """Which of a run's messages fail: one of so many."""
    steps: tuple[int, ...] = (2, 5, 12)
    """Beside which of a process's steps: one of so many."""
    scales_us: tuple[int, ...] = (10_000, 60_000, 1_000_000, 12_000_000)
    """Orders of the times at which faults come and how long they last."""
    most: tuple[int, ...] = (2, 6, 14)
    """How many faults are planned, at most."""

    def targets(self, kind: FaultKind) -> tuple[str, ...]:
        """What a fault of the kind may strike."""
        if kind in BY_STEP:
            return self.processes
        if kind is FaultKind.DATABASE_CRASH:
            return self.databases
        return self.clocks if kind is FaultKind.CLOCK_JUMP else self.prepared


def drawn(chance: Chance, hazards: Hazards) -> tuple[Fault, ...]:
    """The faults of one schedule: few kinds and many, none and many, so that each is met alone."""
    if chance.percent(4):
        return ()
    kinds: Sequence[FaultKind] = hazards.kinds
    if chance.percent(50):
        kinds = [chance.pick(kinds) for _ in range(1 + chance.below(3))]
    many = 1 + chance.below(chance.pick(hazards.most))
    return tuple([_one(chance, hazards, chance.pick(kinds)) for _ in range(many)])


def _one(chance: Chance, hazards: Hazards, kind: FaultKind) -> Fault:
    span_us = 1_000 + chance.below(chance.pick(hazards.scales_us))
    if kind in BY_MESSAGE:
        return Fault(
            kind, 1 + chance.below(chance.pick(hazards.messages)), span_us=_if_late(kind, span_us)
        )
    if kind is FaultKind.PARTITION:
        names = hazards.processes + hazards.databases
        side = tuple([name for name in names if chance.percent(50)]) or names[:1]
        return Fault(kind, chance.below(chance.pick(hazards.scales_us)), side, span_us)
    target = (chance.pick(hazards.targets(kind)),)
    if kind in BY_STEP:
        after = chance.percent(50)
        return Fault(kind, 1 + chance.below(chance.pick(hazards.steps)), target, span_us, after)
    at_us = chance.below(chance.pick(hazards.scales_us))
    if kind is FaultKind.CLOCK_JUMP:
        jump_us = chance.below(chance.pick((1_000_000, 15_000_000, 600_000_000)))
        return Fault(kind, at_us, target, jump_us if chance.percent(60) else -jump_us)
    after = chance.percent(50)
    return Fault(kind, at_us, target, span_us if kind is FaultKind.DATABASE_CRASH else 0, after)


def _if_late(kind: FaultKind, span_us: int) -> int:
    return span_us if kind is FaultKind.MESSAGE_LATE else 0
