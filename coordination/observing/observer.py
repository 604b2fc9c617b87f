"""One observer: takes unsequenced events, gives them their place, folds them, appends the feed.

Any number may run. Each batch is one message to the database whose first statement moves the
cursor from where this observer read it; the others find it moved, and nothing of their batch
stands. So nobody can be paused between taking the cursor and committing.
"""

from __future__ import annotations

from collections.abc import Sequence

from coordination import failpoints
from coordination.connections.database import ConnectionLost
from coordination.observing.feed import Feed
from coordination.observing.feed_upkeep import FeedUpkeep
from coordination.observing.folding import Folding, Key
from coordination.observing.journal import BATCH_EVENTS_MAX, Journal, Place
from coordination.observing.projections import Projection, Step
from coordination.observing.sequencing import Pending, choose


class Observer:
    """Folds one database's events into records and the feed, batch by batch."""

    def __init__(
        self, journal: Journal, projections: Sequence[Projection], feed: Feed | None
    ) -> None:
        """Observe `journal`. Without a `feed` the records are kept all the same."""
        self._journal = journal
        self._folding = Folding(projections)
        self._upkeep = FeedUpkeep(feed, journal, self._folding) if feed is not None else None
        self._after_id = 0

    def step(self) -> int:
        """Observe one batch; returns how many events got their place.

        Raises Fenced when another observer was first, and what `database.run` raises.
        """
        try:
            place, pending = self._journal.pending(after_id=self._after_id)
            steps = self._sequence(place, pending) if pending else []
        except ConnectionLost:
            # A batch may have committed that nobody appends; the server may have lost history.
            if self._upkeep is not None:
                self._upkeep.distrust()
            raise
        if steps and self._upkeep is not None:
            failpoints.hit("observe.append.before")
            self._upkeep.publish(place, steps)
        # Events that wait for a predecessor must not fill the page for ever.
        full = len(pending) == BATCH_EVENTS_MAX
        self._after_id = pending[-1].id if full and not steps else 0
        return len(steps)

    def stand_by(self) -> None:
        """What an observer does about once a second while nothing happens."""
        self._journal.heartbeat()
        if self._upkeep is not None:
            self._upkeep.repair()

    def _sequence(self, place: Place, pending: Sequence[Pending]) -> list[Step]:
        records = self._folding.load(self._journal.using, [item.event for item in pending])
        versions = self._folding.versions(pending, records)
        choice = choose(pending, versions=versions, now=place.now)
        if not choice.ready:
            return []
        for key in choice.late:
            records[key] = self._refold(key, choice.ready)
        steps = self._folding.steps(choice.ready, records, after=place.seq)
        failpoints.hit("observe.commit.before")
        ids = [step.event_id for step in steps]
        self._journal.commit(place, ids, *self._folding.save(steps))
        return steps

    def _refold(self, key: Key, ready: Sequence[Pending]) -> object:
        """The record from its whole history, now that an event given up has arrived."""
        ids = [item.id for item in ready if item.key == key]
        record = None
        for event in self._journal.history(*key, ids):
            record = self._folding.apply(record, event, 0)
        return record
