"""The state of the model: rows, participants' databases, running handlers, what is in flight.

Everything durable is here, and each handler's place in its work; there is no clock. Values are
strings, so that states can be sorted and branches of one kind exchanged.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from coordination.transactions.machine import Local
from coordination.transactions.types import Actual, Form, Mode, Outcome, Vote

PREPARE, FINISH = "p", "f"
"""Messages in flight. An upper case letter is a finish that names its outcome (mutants only)."""

CONTINUE = "continue"
"""Beside outcomes among a state's wishes: the continuation is to be sent."""


class Kind(StrEnum):
    """A branch's mode and form, as far as they make a difference."""

    XA = "xa"
    TCC = "tcc"
    LAST = "last"
    ONE_PHASE = "one_phase"
    SAGA = "saga"
    PIVOT = "pivot"
    FORWARD = "forward"

    @property
    def form(self) -> Form:
        alone = (Kind.LAST, Kind.ONE_PHASE, Kind.PIVOT, Kind.FORWARD)
        return Form(self.value) if self in alone else Form.PREPARE

    @property
    def mode(self) -> Mode:
        if self in (Kind.SAGA, Kind.PIVOT, Kind.FORWARD):
            return Mode.SAGA
        return Mode.TCC if self is Kind.TCC else Mode.XA


class At(StrEnum):
    """Where a handler stands. What a crash may fall between."""

    CLAIMED = "claimed"
    """The rows were read and say that the vote is missing; they may say otherwise by now."""
    REFUSED = "refused"
    """The body is rolled back; the tombstone comes next (tcc, one phase)."""
    ANSWERED = "answered"
    """The ballot is known, and not recorded."""
    ENDING = "ending"
    """The outcome was read from the register."""
    ROLLED_BACK = "rolled back"
    """Before the tombstone (xa)."""
    ENDED = "ended"
    """In its own database; the result is not recorded."""
    ORPHAN = "orphan"
    """As `ENDING`, by the orphan sweep, which records nothing."""
    ORPHAN_ROLLED_BACK = "orphan rolled back"


class Handler(NamedTuple):
    at: At
    holds: str = ""


class Branch(NamedTuple):
    """One branch: its row, its own database, its messages and handlers, and two ghosts."""

    kind: Kind
    after: tuple[int, ...] | None = None
    """What it comes after, by seq. None: there is no order, this is no saga."""
    vote: Vote | str = ""
    actual: Actual | str = ""
    local: Local = Local.IDLE
    sent: str = ""
    running: tuple[Handler, ...] = ()
    buried: bool = False
    """Ghost: a tombstone was to be put."""
    applied: int = 0
    """Ghost: how often the work became visible."""
    undone: bool = False
    """Ghost: it was compensated."""
    fault: str = ""
    """Ghost: a promise that a single move broke."""


class Caller(NamedTuple):
    """The caller of inline branches: the next one to run, and the ballots so far ("": failed)."""

    next_index: int
    ballots: tuple[str, ...] = ()


class State(NamedTuple):
    outcome: Outcome | str
    told: Outcome | str
    """Ghost: what the caller and others were told. Not what the register says: a fault."""
    wishes: tuple[str, ...]
    """What `step` or a caller once asked for, which may be performed at any time since."""
    then: str
    """"" | "due" | "done": the continuation."""
    caller: Caller | None
    branches: tuple[Branch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What is explored: the branches, and how many handlers may be at one branch at a time."""

    kinds: tuple[Kind, ...]
    handlers: int = 2
    inline: bool = False
    then: bool = False
    gives_up: bool = True
    """Whether attempts at a body may run out."""
    after: tuple[tuple[int, ...], ...] = ()
    """Of a saga: what each branch comes after, by seq."""

    def __str__(self) -> str:
        extra = [word for word in ("inline", "then") if getattr(self, word)]
        if not self.gives_up:
            extra.append("never given up")
        names: list[str] = list(self.kinds)
        if self.after:
            pairs = zip(self.kinds, self.after, strict=True)
            names = ["saga of", *(f"{kind}{list(after)}" for kind, after in pairs)]
        return " ".join([*names, *extra, f"({self.handlers} handlers a branch)"])


def start_of(bounds: Bounds) -> State:
    """Just after begin is durable. A cancel may be on its way already."""
    return State(
        outcome="",
        told="",
        wishes=(Outcome.ABORTED,),
        then="due" if bounds.then else "",
        caller=Caller(0) if bounds.inline else None,
        branches=tuple(
            Branch(kind, bounds.after[index] if bounds.after else None)
            for index, kind in enumerate(bounds.kinds)
        ),
    )


def replaced(state: State, index: int, branch: Branch) -> State:
    """The state with another branch at `index`."""
    branches = state.branches
    return state._replace(branches=(*branches[:index], branch, *branches[index + 1 :]))
