"""Copies events that stores of queues keep themselves into the database's events.

Any number of importers may run. Each batch is one transaction that first moves the cursors of its
shards from where this importer read them: so each event is copied exactly once. A store forgets its
oldest events at full load, and what was forgotten before it was read is a gap: the next event of
the shard is of another era, which the auditor takes for what it is.
"""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from coordination import failpoints
from coordination.exceptions import CoordinationError
from coordination.observing.import_journal import Row
from coordination.observing.streams import Place, follow
from coordination.queues import import_journal
from coordination.queues.events import name_of
from coordination.queues.foreign import Imported, Page, QueueEventSource
from coordination.queues.types import moment

logger = logging.getLogger(__name__)

EVENTS_MAX = 500
"""Of one shard in one batch."""
WAITING_MAX = 2_000
"""Nothing is copied while so many events wait to be folded: those of others wait behind them."""
SEEN_EVERY_S = 1.0
RETRY_S, RETRY_S_MAX = 0.5, 5.0


@dataclass
class _Following:
    """One importer's view of one store."""

    source: QueueEventSource
    seen_at: float = 0.0
    not_before: float = 0.0
    retry_s: float = RETRY_S


class QueueImporter:
    """Follows the events of `sources` into the database alias `using`."""

    def __init__(self, using: str, sources: Sequence[QueueEventSource]) -> None:
        self._journal = import_journal.journal(using)
        self._followed = [_Following(source) for source in sources]

    def step(self) -> int:
        """Import a batch of every store that answers; returns how many events were copied.

        0 also while too many of those copied before wait to be folded.

        Raises Fenced when another importer was first, and what `database.run` raises.
        """
        if self._journal.crowded(WAITING_MAX):
            return 0
        return sum(self._import(followed) for followed in self._followed)

    def _import(self, followed: _Following) -> int:
        if time.monotonic() < followed.not_before:
            return 0
        source = followed.source
        places = self._journal.places(source.alias, source.shards)
        after = {shard: place.position for shard, place in places.items()}
        try:
            pages = source.read(after, limit=EVENTS_MAX)
        except CoordinationError as error:
            followed.not_before = time.monotonic() + followed.retry_s
            followed.retry_s = min(followed.retry_s * 2, RETRY_S_MAX)
            logger.warning("events of queues of %s unread: %s", source.alias, error)
            return 0
        followed.retry_s = RETRY_S
        copied = self._commit(source.alias, places, pages)
        if time.monotonic() - followed.seen_at >= SEEN_EVERY_S:
            left = sum(EVENTS_MAX for page in pages.values() if page.more)
            self._journal.seen(source.alias, left=left)
            followed.seen_at = time.monotonic()
        return copied

    def _commit(self, alias: str, places: Mapping[int, Place], pages: Mapping[int, Page]) -> int:
        moves: dict[int, tuple[Place, Place]] = {}
        rows: list[list[Row]] = []
        for shard, page in pages.items():
            place, imported = follow(places[shard], page)
            if place.era != places[shard].era:
                logger.warning("events of queues of %s shard %d were lost", alias, shard)
                place = replace(place, missing=False)  # Nothing is told anew.
            if place != places[shard]:
                moves[shard] = places[shard], place
            rows.append([_row(alias, each) for each in imported])
        # Each shard in its own order; beside others, as near to the order of time as that allows.
        copied = list(heapq.merge(*rows, key=lambda row: row.at))
        if moves:
            failpoints.hit("queue-import.commit.before")
            self._journal.commit(alias, moves, copied)
            failpoints.hit("queue-import.commit.after")
        return len(copied) or len(moves)


def _row(alias: str, imported: Imported) -> Row:
    event = imported.event
    said = event.data.get("said")
    actor = said.get("actor") if isinstance(said, dict) else None
    return Row(
        kind=event.what,
        name=name_of(alias, event, position=imported.position, era=imported.era),
        at=moment(event.at_us),
        node=event.node,
        actor=actor if isinstance(actor, str) else "",
        data={
            **event.data,
            "op": event.op,
            "position": imported.position,
            **({"version": event.version} if event.version else {}),
            **({"era": imported.era} if imported.era else {}),
        },
    )
