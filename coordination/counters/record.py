"""What the records of counters hold, as values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

BUCKET_S = 5
"""Changes are counted in buckets of so many seconds."""
BUCKETS_KEPT = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Last:
    """The last change of a counter."""

    kind: str
    op_id: str
    before: int
    after: int
    node: str
    actor: str = ""
    reason: str = ""
    count: int = 1
    """How many changes are told as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A counter, or one row of a counter with shards, as its events tell it."""

    key: str
    feed_seq: int = 0
    version: int = 0
    """Of its last event."""
    value: int | None = 0
    """None when nobody knows: it stands at what its callers declare."""
    writes: int = 0
    """How often it was written, by its store's count."""
    initial: int = 0
    minimum: int | None = None
    maximum: int | None = None
    shards: int = 1
    """As it was declared last."""
    changes: int = 0
    """How many are recorded."""
    changed_at: datetime
    last: Last | None = None
    rates: tuple[tuple[int, int], ...] = ()
    """Begin of a bucket, in seconds of the epoch, and how many changes fell into it."""
    disputed: str = ""
    """The auditor's word; a fold leaves it as it is."""
    gap: bool = False
    era: int = 0

    @property
    def shard(self) -> int:
        """Which row it is; 0 of a counter in one row."""
        parts = self.key.split(" ")
        return int(parts[2]) if len(parts) > 2 else 0

    @property
    def counter(self) -> str:
        """The key of the whole counter."""
        return " ".join(self.key.split(" ")[:2])

    @property
    def shown(self) -> int:
        """Its value, as far as anybody knows."""
        if self.value is not None:
            return self.value
        return 0 if self.shard else self.initial

    def counting(self, at: datetime, count: int) -> Record:
        """The same with `count` changes more at a time."""
        bucket = int(at.timestamp()) // BUCKET_S * BUCKET_S
        rates = dict(self.rates)
        rates[bucket] = rates.get(bucket, 0) + count
        kept = tuple(sorted(rates.items())[-BUCKETS_KEPT:])
        return replace(self, rates=kept, changes=self.changes + count)

    def as_row(self) -> dict[str, Any]:
        """The row of `concord_counter_record` as JSON values."""
        store, name = self.counter.split(" ")
        figures = {
            "value": self.shown,
            "changes": self.changes,
            "changed_at": self.changed_at.isoformat(),
            "last": None if self.last is None else asdict(self.last),
            "rates": [list(each) for each in self.rates],
        }
        return figures | {
            "key": self.key,
            "counter": self.counter,
            "store": store,
            "name": name,
            "shard": self.shard,
            "feed_seq": self.feed_seq,
            "version": self.version,
            "edition": self.version,
            "writes": self.writes,
            "rows": 1,
            "initial": self.initial,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "shards": self.shards,
            "disputed": self.disputed,
            "gap": self.gap,
            "era": self.era,
            # Of this row alone, whatever becomes of the figures of the whole.
            "cell": figures | {"value": self.value, "gap": self.gap},
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Record:
        """The record of a database row."""
        cell = row["cell"]
        last = cell["last"]
        return cls(
            key=row["key"],
            feed_seq=row["feed_seq"],
            version=row["version"],
            value=cell["value"],
            writes=row["writes"],
            initial=row["initial"],
            minimum=row["minimum"],
            maximum=row["maximum"],
            shards=row["shards"],
            changes=cell["changes"],
            changed_at=datetime.fromisoformat(cell["changed_at"]),
            last=None if last is None else Last(**last),
            rates=tuple((begin, count) for begin, count in cell["rates"]),
            disputed=row["disputed"],
            gap=cell["gap"],
            era=row["era"],
        )
