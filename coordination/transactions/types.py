"""Values of distributed transactions. Pure: no Django, no client library, no clock."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What the register of a transaction holds once it is decided."""

    COMMITTED = "committed"
    ABORTED = "aborted"


class Vote(StrEnum):
    """A participant's answer to prepare."""

    YES = "yes"
    NO = "no"
    READ_ONLY = "read_only"
    """It changed nothing, has already let go, and takes no part in finishing."""


class Actual(StrEnum):
    """How a branch really ended, which a heuristic makes differ from the outcome."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    READ_ONLY = "read_only"
    HEURISTIC_COMMIT = "heuristic_commit"
    HEURISTIC_ROLLBACK = "heuristic_rollback"
    HEURISTIC_HAZARD = "heuristic_hazard"

    @property
    def heuristic(self) -> bool:
        return self.value.startswith("heuristic_")


class Heuristic(StrEnum):
    """Whether a transaction ended against its outcome somewhere."""

    NONE = ""
    COMMIT = "commit"
    ROLLBACK = "rollback"
    MIXED = "mixed"
    HAZARD = "hazard"


class Mode(StrEnum):
    """How a participant takes part."""

    XA = "xa"
    """One database transaction, prepared by PostgreSQL."""
    TCC = "tcc"
    """Reserve, then confirm or cancel; works on any database Django knows."""


class Form(StrEnum):
    """The part a branch plays in the protocol."""

    PREPARE = "prepare"
    """Prepares, votes, and is finished after the decision."""
    LAST = "last"
    """Runs after every other vote and writes the outcome in its own commit."""
    ONE_PHASE = "one_phase"
    """Alone: its own commit, proven by its witness, is the decision; the register follows."""


class Phase(StrEnum):
    PREPARE = "prepare"
    FINISH = "finish"


class Protocol(StrEnum):
    TWO_PHASE = "2pc"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBranch:
    """A branch as it is enlisted, before anything is durable."""

    seq: int
    participant: str
    node: str
    using: str
    mode: Mode
    form: Form
    inline: bool
    args: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTransaction:
    """All that `begin` makes durable in one statement. Durations are milliseconds."""

    gid: str
    name: str
    protocol: Protocol
    node: str
    key: str | None
    digest: str
    deadline_ms: int
    patience_ms: int
    mailbox: str
    then_signature: dict[str, Any] | None
    branches: tuple[NewBranch, ...]
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchState:
    """One branch as the engine sees it."""

    seq: int
    participant: str
    node: str
    using: str
    mode: Mode
    form: Form
    vote: Vote | None = None
    actual: Actual | None = None
    after_commit: bool = False
    due: bool = True

    @property
    def finished(self) -> bool:
        return self.actual is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One transaction as read from its rows, with the database's judgement of time."""

    gid: str
    protocol: Protocol
    outcome: Outcome | None
    expired: bool
    ended: bool
    continue_due: bool
    branches: tuple[BranchState, ...]
    deadline_ms: int = 0
    remaining_ms: int = 0
    node: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """A vote to be recorded. `actual` is set when the vote already ends the branch."""

    seq: int
    vote: Vote
    actual: Actual | None = None
    reason: str = ""
    after_commit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a branch ended, to be recorded after the decision."""

    seq: int
    actual: Actual
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the register and the counts say after a statement took effect."""

    outcome: Outcome | None
    reason: str = ""
    decided_now: bool = False
    mailbox: str = ""
    pending: int = 0
    unfinished: int = 0
    ended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """Answer of `begin`: whether it is new, else what stands there already."""

    created: bool
    digest: str
    outcome: Outcome | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One branch as a participant needs it, claimed for one attempt. `remaining_ms` may be ≤ 0."""

    gid: str
    seq: int
    participant: str
    using: str
    mode: Mode
    form: Form
    args: dict[str, Any] = field(default_factory=dict)
    remaining_ms: int = 0
    attempt: int = 1
    outcome: Outcome | None = None
    vote: Vote | None = None
    actual: Actual | None = None
    after_commit: bool = False
