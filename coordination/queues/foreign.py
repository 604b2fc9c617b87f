"""Events of queues that a store keeps itself, away from the database's events.

Unlike locks, queues are not told anew where events were lost: how a queue stands is sampled every
second anyway, and what befell single messages meanwhile nobody can tell any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from coordination.observing import streams
from coordination.queues.events import QueueEvent

Recorded = streams.Recorded[QueueEvent]
Page = streams.Page[QueueEvent]
Imported = streams.Imported[QueueEvent]


class QueueEventSource(Protocol):
    """The events of one store alias. All raise StoreUnavailable or OutcomeUnknown."""

    alias: str
    shards: int

    def read(self, after: Mapping[int, int], *, limit: int) -> Mapping[int, Page]:
        """Events of each shard from the given position on, at most `limit` and that one itself.

        It is read again to be compared: while it is there, nothing behind it is missing.
        """
