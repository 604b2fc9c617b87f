"""Pure fold of a transaction's events into its record. No Django, no clock.

`apply` takes events in version order. A version it has folded already changes nothing. A version
that skips one, or that does not hold what its kind promises, marks the record with `gap`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from coordination.kernel.events import Event
from coordination.transactions import waiting
from coordination.transactions.asking import asked


class State(StrEnum):
    """Where a transaction stands."""

    VOTING = "voting"
    """Undecided. In doubt, when a branch is prepared; the reader judges that by age."""
    APPLYING = "applying"
    """Decided to commit; not every branch has confirmed."""
    UNDOING = "undoing"
    """Decided to abort; not every branch has confirmed."""
    COMMITTED = "committed"
    ABORTED = "aborted"
    HEURISTIC = "heuristic"
    """Ended, and somewhere against its outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchRecord:
    """One branch as events tell it. `phase` is what it is being asked for now, if anything."""

    seq: int
    participant: str = ""
    node: str = ""
    using: str = ""
    mode: str = ""
    form: str = ""
    after: tuple[int, ...] = ()
    vote: str | None = None
    reason: str = ""
    actual: str | None = None
    attempts: int = 0
    voted_at: str | None = None
    finished_at: str | None = None
    phase: str | None = None
    error: str = ""
    retry_at: str | None = None

    @property
    def prepared(self) -> bool:
        """Whether it holds durable work that only the outcome can end."""
        return self.vote == "yes" and self.actual is None and self.mode != "saga"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A transaction as its events tell it; the row of `concord_transaction_record`."""

    gid: str
    feed_seq: int = 0
    version: int = 0
    name: str = ""
    protocol: str = ""
    node: str = ""
    key: str | None = None
    state: State = State.VOTING
    outcome: str | None = None
    reason: str = ""
    heuristic: str = ""
    branches: tuple[BranchRecord, ...] = ()
    begun_at: datetime | None = None
    deadline_at: datetime | None = None
    decided_at: datetime | None = None
    ended_at: datetime | None = None
    waits_for: str = ""
    gap: bool = False

    def branch(self, seq: int) -> BranchRecord:
        """The branch numbered `seq`; one that no event introduced is known by its number only."""
        return next((known for known in self.branches if known.seq == seq), BranchRecord(seq=seq))

    def with_branch(self, changed: BranchRecord) -> Record:
        """The record with one branch replaced, in the order of their numbers."""
        others = [branch for branch in self.branches if branch.seq != changed.seq]
        ordered = sorted((*others, changed), key=lambda branch: branch.seq)
        return replace(self, branches=tuple(ordered))

    def as_row(self) -> dict[str, Any]:
        """The row as JSON values: times in ISO 8601, branches as a list of dicts."""
        row: dict[str, Any] = {column: getattr(self, column) for column in COLUMNS}
        row["state"] = self.state.value
        row["branches"] = [
            {column: getattr(branch, column) for column in BRANCH_COLUMNS}
            | {"after": list(branch.after)}
            for branch in self.branches
        ]
        for column in TIMES:
            row[column] = None if row[column] is None else row[column].isoformat()
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Record:
        """The record of a database row, whose times are aware datetimes."""
        values = {column: row[column] for column in COLUMNS}
        values["state"] = State(values["state"])
        values["branches"] = tuple(
            BranchRecord(**{**branch, "after": tuple(branch.get("after", ()))})
            for branch in values["branches"]
        )
        return cls(**values)


COLUMNS = tuple(column.name for column in fields(Record))
BRANCH_COLUMNS = tuple(column.name for column in fields(BranchRecord))
TIMES = ("begun_at", "deadline_at", "decided_at", "ended_at")


def apply(record: Record | None, event: Event, seq: int = 0) -> Record:
    """The record after `event`, given the record before it (`None`: nothing was known).

    `seq` is the event's place in the feed, 0 when it has none.
    """
    before = Record(gid=event.name) if record is None else record
    feed_seq = max(seq, before.feed_seq)
    if event.version <= before.version:
        return replace(before, feed_seq=feed_seq)
    gap = before.gap or event.version > before.version + 1
    try:
        after = _FOLDS.get(event.kind, _unchanged)(before, event)
        note = _acknowledgement(event)
    except (KeyError, TypeError, ValueError):
        after, note, gap = before, "", True
    return replace(
        after,
        version=event.version,
        feed_seq=feed_seq,
        gap=gap,
        waits_for=waiting.sentence(after) + note,
    )


def fold(events: Iterable[Event], record: Record | None = None) -> Record | None:
    """`apply` over events in version order."""
    for event in events:
        record = apply(record, event)
    return record


def _unchanged(record: Record, _event: Event) -> Record:
    return record


def _facts(event: Event) -> Mapping[str, Any]:
    return event.data


def _begun(record: Record, event: Event) -> Record:
    data = _facts(event)
    branches = tuple(
        BranchRecord(
            seq=branch["seq"],
            participant=branch["participant"],
            node=branch["node"],
            using=branch["using"],
            mode=branch["mode"],
            form=branch["form"],
            after=tuple(branch.get("after") or ()),
        )
        for branch in data["branches"]
    )
    begun = replace(
        record,
        name=data["name"],
        protocol=data["protocol"],
        node=data["node"],
        key=data["key"],
        begun_at=event.at,
        deadline_at=datetime.fromisoformat(data["deadline_at"]),
        branches=branches,
    )
    return asked(begun)


def _sent(record: Record, event: Event) -> Record:
    data = _facts(event)
    branch = record.branch(data["seq"])
    if branch.actual is not None or (branch.vote is not None and record.outcome is None):
        return record
    attempts = data.get("attempt", branch.attempts + 1)
    sent = replace(branch, phase=data["phase"], attempts=attempts, retry_at=None)
    return record.with_branch(sent)


def _voted(record: Record, event: Event) -> Record:
    data, at = _facts(event), event.at.isoformat()
    actual = data.get("actual")
    branch = replace(
        record.branch(data["seq"]),
        vote=data["vote"],
        reason=data.get("reason") or "",
        actual=actual,
        voted_at=at,
        finished_at=at if actual is not None else None,
        phase=None,
        error="",
        retry_at=None,
    )
    return asked(record.with_branch(branch))


def _decided(record: Record, event: Event) -> Record:
    data = _facts(event)
    outcome = data["outcome"]
    branches = tuple(
        branch
        if branch.actual is not None
        else replace(branch, phase=None, error="", retry_at=None)
        for branch in record.branches
    )
    decided = replace(
        record,
        outcome=outcome,
        state=State.APPLYING if outcome == "committed" else State.UNDOING,
        reason=data.get("reason") or "",
        decided_at=event.at,
        branches=branches,
    )
    return asked(decided)


def _delayed(record: Record, event: Event) -> Record:
    data = _facts(event)
    branch = record.branch(data["seq"])
    if branch.actual is not None:
        return record
    retry_at = event.at + timedelta(milliseconds=data.get("retry_in_ms") or 0)
    delayed = replace(
        branch,
        phase=data["phase"],
        error=data.get("error") or "",
        attempts=data.get("attempt", branch.attempts),
        retry_at=retry_at.isoformat(),
    )
    return record.with_branch(delayed)


def _finished(record: Record, event: Event) -> Record:
    data = _facts(event)
    known = record.branch(data["seq"])
    branch = replace(
        known,
        actual=data["actual"],
        reason=data.get("reason") or known.reason,
        finished_at=event.at.isoformat(),
        phase=None,
        error="",
        retry_at=None,
    )
    return asked(record.with_branch(branch))


def _ended(record: Record, event: Event) -> Record:
    data = _facts(event)
    heuristic = data.get("heuristic") or ""
    outcome = data["outcome"]
    return replace(
        record,
        outcome=outcome,
        heuristic=heuristic,
        state=State.HEURISTIC if heuristic else State(outcome),
        ended_at=event.at,
    )


def _acknowledgement(event: Event) -> str:
    data = _facts(event)
    if event.kind != "transaction.resolved" or data["action"] != "acknowledge":
        return ""
    return f"; acknowledged by {data['actor']}: {data['reason']}"


_FOLDS: dict[str, Callable[[Record, Event], Record]] = {
    "transaction.begun": _begun,
    "branch.sent": _sent,
    "branch.voted": _voted,
    "transaction.decided": _decided,
    "branch.delayed": _delayed,
    "branch.finished": _finished,
    "transaction.ended": _ended,
}
