"""Events of counters that a store keeps in a stream of its own, away from the database's events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from coordination.counters.types import Reading
from coordination.observing import streams


class CellName(NamedTuple):
    """A counter, or with shards on PostgreSQL one of its rows."""

    name: str
    shard: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterEvent:
    """One change, as its store recorded it."""

    kind: str
    name: str
    at_us: int
    """By the store's clock."""
    node: str
    id: str
    """Of the call that made it."""
    version: int
    before: int
    after: int
    note: Mapping[str, Any] = field(default_factory=dict)
    """See `events.note_of`."""


Recorded = streams.Recorded[CounterEvent]
Page = streams.Page[CounterEvent]
Imported = streams.Imported[CounterEvent]


class CounterStates(Protocol):
    """How the counters of one store alias stand. Raises StoreUnavailable or OutcomeUnknown."""

    alias: str

    def states(self, cells: Sequence[CellName]) -> Mapping[CellName, Reading]:
        """Those that were ever written, by the store's own word."""


class CounterEventSource(CounterStates, Protocol):
    """The events of one store alias. All raise StoreUnavailable or OutcomeUnknown."""

    shards: int

    def shard_of(self, name: str) -> int:
        """Where the events of a counter are, from 0."""

    def read(self, after: Mapping[int, int], *, limit: int) -> Mapping[int, Page]:
        """Events from the given position on, at most `limit` and that one itself.

        It is read again to be compared: while it is there, nothing behind it is missing.
        """

    def live(self) -> Iterable[str]:
        """Every counter that was written, and maybe some that were not."""
