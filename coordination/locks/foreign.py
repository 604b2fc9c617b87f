"""Events of locks that a store keeps in a stream of its own, away from the database's events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from coordination.locks.events import LockEvent
from coordination.locks.types import LockInfo, Resource
from coordination.observing import streams

Recorded = streams.Recorded[LockEvent]
Page = streams.Page[LockEvent]
Imported = streams.Imported[LockEvent]


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
