"""Values of distributed transactions. Pure: no Django, no client library, no clock."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from coordination.kernel.gids import Electorate
from coordination.kernel.gids import branch_gid as gid_of_branch


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
    HTTP = "http"
    """Prepare, then commit or cancel, in a service that is called by HTTP."""
    SAGA = "saga"
    """Act for everybody to see, and compensate after an abort; works where `tcc` does."""


class Form(StrEnum):
    """The part a branch plays in the protocol."""

    PREPARE = "prepare"
    """Prepares, votes, and is finished after the decision."""
    LAST = "last"
    """Runs after every other vote and writes the outcome in its own commit."""
    ONE_PHASE = "one_phase"
    """Alone: its own commit, proven by its witness, is the decision; the register follows."""
    PIVOT = "pivot"
    """Of a saga, when every vote but its own is in: only its own word decides from there."""
    FORWARD = "forward"
    """Of a saga, behind the pivot: has no vote, and is done after the commit is decided."""


class Phase(StrEnum):
    PREPARE = "prepare"
    PRECOMMIT = "precommit"
    FINISH = "finish"


ROW = "database"
"""The register that is the transaction's own row."""
QUORUM = "paxos"
"""What stands for the acceptors of COORDINATION["CONSENSUS"]."""


class Protocol(StrEnum):
    TWO_PHASE = "2pc"
    THREE_PHASE = "3pc"
    PAXOS = "paxos"
    SAGA = "saga"


def electorate(
    protocol: str, register: str, branches: int, period: int | None
) -> Electorate | None:
    """Which registers of the quorum decide, for who is left alone with them; else None.

    A step of a saga may not be ended alone: the others' order, and a pivot's word, are in the rows.
    """
    if register != QUORUM or period is None or protocol == Protocol.SAGA:
        return None
    return Electorate(branches=branches if protocol == Protocol.PAXOS else 0, period=period)


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
    after: tuple[int, ...] = ()
    """Of a saga: the branches that it comes after, by seq."""


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
    register: str = ROW
    period: int | None = None
    """Of the registers that are not the row's: days since 1970."""

    @property
    def electorate(self) -> Electorate | None:
        return electorate(self.protocol, self.register, len(self.branches), self.period)


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
    precommitted: bool = False
    after: tuple[int, ...] = ()
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
    register: str = ROW
    period: int | None = None

    @property
    def electorate(self) -> Electorate | None:
        return electorate(self.protocol, self.register, len(self.branches), self.period)


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
    register: str = ROW
    period: int | None = None
    electorate: Electorate | None = None
    due: Outcome | None = None
    """What a register elsewhere is to be asked for now."""


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
    protocol: Protocol = Protocol.TWO_PHASE
    outcome: Outcome | None = None
    vote: Vote | None = None
    actual: Actual | None = None
    after_commit: bool = False
    electorate: Electorate | None = None

    @property
    def branch_gid(self) -> str:
        return gid_of_branch(self.gid, self.seq, self.electorate)
