"""A transaction as the dashboard shows it: one frozen row, from a record or from a feed message.

Pure. Times are integer milliseconds since the epoch; the words of a state are decided here once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from dashboard.globs import fits
from dashboard.limits import IN_DOUBT_AFTER_MS

if TYPE_CHECKING:
    from dashboard.filtering import Term

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class DisplayState(StrEnum):
    """What the pages call a transaction's state."""

    VOTING = "voting"
    IN_DOUBT = "in_doubt"
    """Prepared and undecided for more than a second."""
    APPLYING = "applying"
    UNDOING = "undoing"
    COMMITTED = "committed"
    ABORTED = "aborted"
    HEURISTIC = "heuristic"


def moment(value: datetime | str | None) -> datetime | None:
    """An aware time, or the one its ISO 8601 text means."""
    if value is None or value == "":
        return None
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def epoch_us(value: datetime | str | None) -> int | None:
    """Microseconds since the epoch of an aware time or its ISO 8601 text, exactly."""
    at = moment(value)
    return None if at is None else (at - _EPOCH) // timedelta(microseconds=1)


def epoch_ms(value: datetime | str | None) -> int | None:
    """Milliseconds since the epoch of an aware time or its ISO 8601 text, rounded down."""
    exact = epoch_us(value)
    return None if exact is None else exact // 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchRow:
    """One branch of a row."""

    seq: int
    participant: str
    node: str
    using: str
    mode: str
    form: str
    vote: str | None
    reason: str
    actual: str | None
    attempts: int
    voted_ms: int | None
    finished_ms: int | None
    phase: str | None
    error: str
    retry_ms: int | None

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> BranchRow:
        """From one entry of a record's `branches`."""
        return cls(
            seq=int(data["seq"]),
            participant=data.get("participant") or "",
            node=data.get("node") or "",
            using=data.get("using") or "",
            mode=data.get("mode") or "",
            form=data.get("form") or "",
            vote=data.get("vote"),
            reason=data.get("reason") or "",
            actual=data.get("actual"),
            attempts=int(data.get("attempts") or 0),
            voted_ms=epoch_ms(data.get("voted_at")),
            finished_ms=epoch_ms(data.get("finished_at")),
            phase=data.get("phase"),
            error=data.get("error") or "",
            retry_ms=epoch_ms(data.get("retry_at")),
        )

    @property
    def prepared(self) -> bool:
        """Whether it holds durable work that only the outcome can end."""
        return self.vote == "yes" and self.actual is None and self.mode != "saga"

    @property
    def place(self) -> str:
        """Where its work is: a database that is known here, else a service or a node."""
        return self.using or ("a service" if self.mode == "http" else self.node)

    @property
    def vote_mark(self) -> str:
        """`y` yes, `n` no, `r` read-only, `b` at work, `-` nothing yet."""
        if self.vote is not None:
            return {"yes": "y", "no": "n", "read_only": "r"}[self.vote]
        return "b" if self.phase == "prepare" else "-"

    @property
    def end_mark(self) -> str:
        """`c` committed, `n` undone, `r` read-only, `x` against the outcome, `u` failing, `-`."""
        if self.actual is None:
            return "u" if self.phase == "finish" and self.error else "-"
        if self.actual.startswith("heuristic_"):
            return "x"
        return {"committed": "c", "aborted": "n", "read_only": "r"}[self.actual]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionRow:
    """One transaction. `seq` is the feed position this row stands at."""

    gid: str
    seq: int
    version: int
    name: str
    protocol: str
    node: str
    key: str | None
    state: str
    outcome: str | None
    reason: str
    heuristic: str
    branches: tuple[BranchRow, ...]
    begun_us: int
    deadline_ms: int | None
    decided_ms: int | None
    ended_ms: int | None
    waits_for: str
    gap: bool

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> TransactionRow:
        """From a record's columns: datetimes or their ISO texts, branches as a list of dicts."""
        return cls(
            gid=row["gid"],
            seq=int(row["feed_seq"]),
            version=int(row["version"]),
            name=row["name"],
            protocol=row["protocol"],
            node=row["node"],
            key=row["key"],
            state=row["state"],
            outcome=row["outcome"],
            reason=row["reason"],
            heuristic=row["heuristic"],
            branches=tuple(BranchRow.read(branch) for branch in row["branches"]),
            begun_us=epoch_us(row["begun_at"]) or 0,
            deadline_ms=epoch_ms(row["deadline_at"]),
            decided_ms=epoch_ms(row["decided_at"]),
            ended_ms=epoch_ms(row["ended_at"]),
            waits_for=row["waits_for"],
            gap=bool(row["gap"]),
        )

    @property
    def id(self) -> str:
        """What lists know it by."""
        return self.gid

    @property
    def edition(self) -> object:
        """Another one whenever the row reads otherwise."""
        return self.version

    @property
    def begun_ms(self) -> int:
        """When it began, in milliseconds."""
        return self.begun_us // 1000

    @property
    def prepared_ms(self) -> int | None:
        """Since when a branch has been prepared without a decision, if one is."""
        if self.outcome is not None:
            return None
        times = [branch.voted_ms for branch in self.branches if branch.prepared]
        return min((time for time in times if time is not None), default=None)

    @property
    def haystack(self) -> str:
        """What free text is looked for in."""
        names = (branch.participant for branch in self.branches)
        return " ".join((self.gid, self.name, self.key or "", self.reason, *names)).casefold()

    @property
    def marks(self) -> str:
        """Votes, decision and ends, one letter a branch: `yy-||---`, `yy|c|cc`."""
        votes = "".join(branch.vote_mark for branch in self.branches)
        ends = "".join(branch.end_mark for branch in self.branches)
        decision = {"committed": "c", "aborted": "n"}.get(self.outcome or "", "")
        return f"{votes}|{decision}|{ends}"

    def state_at(self, now_ms: int) -> DisplayState:
        """The state in words; a vote that waits too long for its decision is in doubt."""
        prepared_ms = self.prepared_ms
        if prepared_ms is not None and now_ms - prepared_ms > IN_DOUBT_AFTER_MS:
            return DisplayState.IN_DOUBT
        return DisplayState(self.state)

    def age_ms(self, now_ms: int) -> int:
        """Begun until ended, or until now."""
        return max(0, (now_ms if self.ended_ms is None else self.ended_ms) - self.begun_ms)

    def answers(self, term: Term, now_ms: int) -> bool:
        """Whether a filter's condition is met, negation left aside."""
        match term.key:
            case "state":
                return self.state_at(now_ms) in term.values
            case "outcome":
                return (self.outcome or "none") in term.values
            case "protocol" | "node":
                return getattr(self, term.key) in term.values
            case "name":
                return fits(self.name, term.values)
            case "participant":
                return any(fits(branch.participant, term.values) for branch in self.branches)
            case "age":
                return term.admits(self.age_ms(now_ms))
            case _:
                return any(value.casefold() in self.haystack for value in term.values)

    @property
    def order(self) -> tuple[int, int, str]:
        """Sort key: what has not ended first, oldest first; then the newest begun."""
        if self.ended_ms is None:
            return (0, self.begun_us, self.gid)
        return (1, -self.begun_us, self.gid)

    def wire(self) -> dict[str, Any]:
        """The row as lists send it. `begun` keeps its microseconds: lists are sorted by it."""
        applied = sum(branch.actual is not None for branch in self.branches)
        return {
            "gid": self.gid,
            "seq": self.seq,
            "v": self.version,
            "name": self.name,
            "protocol": self.protocol,
            "node": self.node,
            "state": self.state,
            "outcome": self.outcome,
            "reason": self.reason,
            "waits": self.waits_for,
            "marks": self.marks,
            "applied": applied,
            "of": len(self.branches),
            "begun": self.begun_us / 1000,
            "prepared": self.prepared_ms,
            "decided": self.decided_ms,
            "ended": self.ended_ms,
        }

    def wire_full(self) -> dict[str, Any]:
        """The row as its own page needs it."""
        return self.wire() | {
            "key": self.key,
            "heuristic": self.heuristic,
            "deadline": self.deadline_ms,
            "gap": self.gap,
            "branches": [asdict(branch) for branch in self.branches],
        }
