"""A counter as the dashboard shows it: one frozen row, from a record or from a feed message.

Pure. Times are milliseconds of the store's clock since the epoch; the words of a state are decided
here once, from the row and the moment it is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from dashboard.globs import fits
from dashboard.limits import COUNTING_MS
from dashboard.rows import epoch_ms

if TYPE_CHECKING:
    from dashboard.filtering import Term

RATE_MS = 60_000
"""Over how long a rate is taken."""


class CounterState(StrEnum):
    """What the pages call a counter's state."""

    DISPUTED = "disputed"
    """A rule was broken, and nobody has acknowledged it."""
    UNKNOWN = "unknown"
    """Events of it were lost since it was last seen whole."""
    AT_BOUND = "at_bound"
    """It stands at a bound that its last caller declared."""
    COUNTING = "counting"
    STILL = "still"


@dataclass(frozen=True, slots=True, kw_only=True)
class LastChange:
    """The last change, or the last run of them."""

    kind: str
    op_id: str
    before: int
    after: int
    node: str
    actor: str
    reason: str
    count: int

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> LastChange:
        """From a record's `last`."""
        return cls(
            kind=data.get("kind") or "",
            op_id=data.get("op_id") or "",
            before=int(data.get("before") or 0),
            after=int(data.get("after") or 0),
            node=data.get("node") or "",
            actor=data.get("actor") or "",
            reason=data.get("reason") or "",
            count=int(data.get("count") or 1),
        )

    @property
    def amount(self) -> int:
        """By how much it changed."""
        return self.after - self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterRow:
    """One counter. `seq` is the feed position this row stands at."""

    key: str
    seq: int
    version: int
    store: str
    name: str
    shard: int
    value: int
    writes: int
    changes: int
    changed_ms: int
    last: LastChange | None
    rates: tuple[tuple[int, int], ...]
    """Begin of each five seconds, in seconds of the epoch, and how many changes fell into them."""
    rows: int
    initial: int
    minimum: int | None
    maximum: int | None
    shards: int
    disputed: str
    gap: bool

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> CounterRow:
        """From a record's columns: datetimes or their ISO texts, the last change as a dict."""
        last = row["last"]
        return cls(
            key=row["key"],
            seq=int(row["feed_seq"]),
            version=int(row["edition"]),
            store=row["store"],
            name=row["name"],
            shard=int(row["shard"]),
            value=int(row["value"]),
            writes=int(row["writes"]),
            changes=int(row["changes"]),
            changed_ms=epoch_ms(row["changed_at"]) or 0,
            last=None if last is None else LastChange.read(last),
            rates=tuple((int(at), int(count)) for at, count in row["rates"]),
            rows=int(row["rows"]),
            initial=int(row["initial"]),
            minimum=row["minimum"],
            maximum=row["maximum"],
            shards=int(row["shards"]),
            disputed=row["disputed"],
            gap=bool(row["gap"]),
        )

    @property
    def id(self) -> str:
        """What lists know it by."""
        return self.key

    @property
    def counter(self) -> str:
        """The key of the whole counter, of which this may be a row."""
        return f"{self.store} {self.name}"

    @property
    def partial(self) -> bool:
        """Whether it may be one of several rows, so that only the records know the sum."""
        return self.shards > 1 or self.shard > 0

    @property
    def edition(self) -> object:
        """Another one whenever the row reads otherwise; a dispute is no event of the counter."""
        return (self.version, self.disputed, self.gap)

    @property
    def order(self) -> tuple[int, str, str]:
        """Sort key: disputed first, then by name."""
        return (0 if self.disputed else 1, self.name, self.key)

    @property
    def haystack(self) -> str:
        """What free text is looked for in."""
        last = self.last
        said = "" if last is None else f" {last.op_id} {last.actor}"
        return f"{self.key}{said}".casefold()

    @property
    def bounds(self) -> str:
        """`0 to 100`, `from 0`, `to 100`; empty without any."""
        if self.minimum is None:
            return "" if self.maximum is None else f"to {self.maximum:,}"
        return f"from {self.minimum:,}" + ("" if self.maximum is None else f" to {self.maximum:,}")

    def rate_at(self, now_ms: int) -> float:
        """Changes a second, over the last minute."""
        since_s = (now_ms - RATE_MS) // 1_000
        return sum(count for at, count in self.rates if at >= since_s) * 1_000 / RATE_MS

    def state_at(self, now_ms: int) -> CounterState:
        """The state in words."""
        if self.disputed:
            return CounterState.DISPUTED
        if self.gap:
            return CounterState.UNKNOWN
        if self.value in (self.minimum, self.maximum):
            return CounterState.AT_BOUND
        counting = self.last is not None and now_ms - self.changed_ms < COUNTING_MS
        return CounterState.COUNTING if counting else CounterState.STILL

    def answers(self, term: Term, now_ms: int) -> bool:
        """Whether a filter's condition is met, negation left aside."""
        match term.key:
            case "state":
                return self.state_at(now_ms) in term.values
            case "store":
                return self.store in term.values
            case "name":
                return fits(self.name, term.values)
            case "value":
                return term.admits(self.value)
            case _:
                return any(value.casefold() in self.haystack for value in term.values)

    def wire(self) -> dict[str, Any]:
        """The row as lists and its own page send it. Values are within what scripts hold."""
        return {
            "id": self.key,
            "seq": self.seq,
            "v": self.version,
            "store": self.store,
            "name": self.name,
            "value": self.value,
            "writes": self.writes,
            "changes": self.changes,
            "changed": self.changed_ms,
            "last": None if self.last is None else asdict(self.last),
            "rates": [list(each) for each in self.rates],
            "rows": self.rows,
            "initial": self.initial,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "shards": self.shards,
            "disputed": self.disputed,
            "gap": self.gap,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRow:
    """One change of a counter's history, or an unbroken run of them."""

    seq: int
    kind: str
    version: int
    first: int
    shard: int
    at_ms: int
    op_id: str
    before: int
    after: int
    node: str
    actor: str
    reason: str

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> ChangeRow | None:
        """From an event; None for one that tells of no change."""
        data = row["data"]
        try:
            version = int(data.get("v", row["version"]))
            return cls(
                seq=int(row["seq"] or 0),
                kind=row["kind"].removeprefix("counter."),
                version=version,
                first=int(data.get("first", version)),
                shard=int(data.get("shard", 0)),
                at_ms=epoch_ms(row["at"]) or 0,
                op_id=str(data["id"]),
                before=int(data["before"]),
                after=int(data["after"]),
                node=row["node"],
                actor=row["actor"],
                reason=str(data.get("reason", "")),
            )
        except (KeyError, TypeError, ValueError):
            return None

    @property
    def amount(self) -> int:
        """By how much it changed."""
        return self.after - self.before

    @property
    def count(self) -> int:
        """How many changes it stands for."""
        return self.version - self.first + 1

    def wire(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRow:
    """One of the rows that a counter with shards is kept in."""

    shard: int
    value: int
    writes: int

    def wire(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)
