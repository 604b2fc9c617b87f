"""Folds events of any kind of object into records, each kind by its own projection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coordination.connections.database import Statement
from coordination.kernel.events import Event
from coordination.observing.projections import Projection, Step
from coordination.observing.sequencing import Pending

Key = tuple[str, str]


class Folding:
    """The projections at work, looked up by the kind of object an event is about."""

    def __init__(self, projections: Sequence[Projection]) -> None:
        self.projections: Mapping[str, Projection] = {p.object: p for p in projections}

    def load(self, using: str, events: Sequence[Event]) -> dict[Key, Any]:
        """The records, as they stand, of the objects that `events` are about."""
        records: dict[Key, Any] = {}
        for kind, projection in self.projections.items():
            names = sorted({event.name for event in events if event.object == kind})
            if names:
                found = projection.load(using, names)
                records.update({(kind, name): record for name, record in found.items()})
        return records

    def versions(self, pending: Sequence[Pending], records: Mapping[Key, Any]) -> dict[Key, int]:
        """The version each object of `pending` was folded up to."""
        versions: dict[Key, int] = {}
        for item in pending:
            projection = self.projections.get(item.event.object)
            if projection is not None and item.key in records:
                versions[item.key] = projection.version(records[item.key])
            elif projection is None or projection.pruned:
                # No record tells; what is visible first is taken as next.
                below = item.event.version - 1
                versions[item.key] = min(versions.get(item.key, below), below)
        return versions

    def steps(
        self, ready: Sequence[Pending], records: Mapping[Key, Any], *, after: int
    ) -> list[Step]:
        """Fold `ready` in order, at the positions that follow `after`."""
        latest = dict(records)
        steps = []
        for seq, item in enumerate(ready, after + 1):
            before = latest.get(item.key)
            latest[item.key] = self.apply(before, item.event, seq)
            steps.append(
                Step(
                    seq=seq,
                    event_id=item.id,
                    event=item.event,
                    before=before,
                    after=latest[item.key],
                )
            )
        return steps

    def apply(self, record: Any, event: Event, seq: int) -> Any:
        """The record after `event`; None for an object without records."""
        projection = self.projections.get(event.object)
        return None if projection is None else projection.apply(record, event, seq)

    def save(self, steps: Sequence[Step]) -> list[Statement]:
        """Statements that bring all records to after `steps`."""
        return [
            statement
            for kind, projection in self.projections.items()
            for statement in projection.save([s for s in steps if s.event.object == kind])
        ]

    def row(self, event: Event, record: Any) -> dict[str, Any] | None:
        """A record of the event's object as JSON values; None for an object without records."""
        projection = self.projections.get(event.object)
        return None if projection is None or record is None else projection.row(record)
