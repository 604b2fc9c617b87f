"""Events of locks that a store keeps in a stream of its own, away from the database's events.

Each shard of a store gives its events rising positions, in the order in which they happened. It may
forget its oldest events, and, after a failure, its newest too. Nothing is missing behind an event
that is still there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from coordination.locks.events import LockEvent
from coordination.locks.types import LockInfo, Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One event where it stands in its shard."""

    position: int
    print: str
    """Short, and another one for another event: tells whether a position was given twice."""
    event: LockEvent | None
    """None: nobody can read it."""
    of_nobody: bool = False
    """It is about no resource, and nothing is to be told of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Events of a shard in order, from the one at the position asked for, if it is there."""

    entries: Sequence[Recorded]
    begins: bool
    """Whether the shard has forgotten none of its oldest events."""
    more: bool
    """Whether there are more behind them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """How a resource stood right after the event at `position` of its shard."""

    position: int
    info: LockInfo
    """With those whose lease has run out, while the store has not said so."""


class LockEventSource(Protocol):
    """The events of one store alias. All raise StoreUnavailable or OutcomeUnknown."""

    alias: str
    shards: int

    def shard_of(self, resource: Resource) -> int:
        """Where the events of a resource are, from 0."""

    def read(self, after: Mapping[int, int], *, limit: int) -> Mapping[int, Page]:
        """Events of each shard from the given position on, at most `limit` and that one itself.

        It is read again to be compared: while it is there, nothing behind it is missing.
        """

    def live(self) -> Iterable[Resource]:
        """Every resource that somebody holds or waits for, and maybe some that nobody does."""

    def snapshots(self, resources: Sequence[Resource]) -> Sequence[Snapshot]:
        """How resources stand; those that cannot be read are left out."""
