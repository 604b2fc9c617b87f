"""Drop all records and fold them again from the events; observers wait meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from coordination.connections import database
from coordination.connections.database import Statement
from coordination.observing.folding import Folding
from coordination.observing.journal import CURSOR, Journal, Sequenced
from coordination.observing.projections import Projection, Step

PAGE_EVENTS = 2_000

# Every observer's batch begins by moving this row.
HOLD_CURSOR = "SELECT seq FROM concord_cursor WHERE name = %s FOR UPDATE"


def rebuild(journal: Journal, projections: Sequence[Projection]) -> int:
    """Rebuild all records in one transaction; returns how many events were folded."""
    folding = Folding(projections)
    folded = 0
    with transaction.atomic(using=journal.using):
        database.run(journal.using, Statement(HOLD_CURSOR, (CURSOR,)))
        for kind, projection in folding.projections.items():
            database.run(journal.using, *projection.clear())
            folded += _fold_kind(journal, folding, kind)
    return folded


def _fold_kind(journal: Journal, folding: Folding, kind: str) -> int:
    folded, after = 0, ("", 0)
    record: object = None
    while page := journal.sequenced(kind, after, limit=PAGE_EVENTS):
        steps = []
        for item in page:
            before = record if item.event.name == after[0] else None
            record = folding.apply(before, item.event, item.seq)
            steps.append(_step(item, before, record))
            after = item.event.name, item.event.version
        database.run(journal.using, *folding.save(steps))
        folded += len(page)
    return folded


def _step(item: Sequenced, before: object, after: object) -> Step:
    return Step(seq=item.seq, event_id=item.id, event=item.event, before=before, after=after)
