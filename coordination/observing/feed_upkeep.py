"""Keeps the feed equal to the journal: appends each batch, fills holes, begins a lost feed anew."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from coordination.connections.database import ConnectionLost
from coordination.observing.feed import (
    APPEND_MESSAGES_MAX,
    Feed,
    FeedUnavailable,
    Message,
    Standing,
    encode,
)
from coordination.observing.folding import Folding
from coordination.observing.journal import Journal, Place
from coordination.observing.projections import Step

logger = logging.getLogger(__name__)

REPAIR_EVENTS_MAX = 5_000
"""A feed that lacks more than this begins a new epoch instead of being filled up."""
TAIL_EVENTS = 1_000
"""With how many past events a new epoch begins."""
RETRY_S = 0.5
RETRY_S_MAX = 5.0


class FeedUpkeep:
    """One observer's hand on the feed. An unreachable Redis never stops the records."""

    def __init__(self, feed: Feed, journal: Journal, folding: Folding) -> None:
        self._feed, self._journal, self._folding = feed, journal, folding
        # After any failure one side may have lost what the other has: look before appending.
        self._sound = False
        self._retry_s = RETRY_S
        self._not_before = 0.0

    def distrust(self) -> None:
        """Compare feed and journal before the next append."""
        self._sound = False

    def publish(self, place: Place, steps: Sequence[Step]) -> None:
        """Append the batch that was committed after `place`; repair the feed if it does not fit."""
        if time.monotonic() < self._not_before:
            return
        if not self._sound:
            self.repair()
            return
        messages = [
            encode(
                step.seq,
                step.event,
                epoch=place.epoch,
                row=self._folding.row(step.event, step.after),
            )
            for step in steps
        ]
        try:
            fits = all(
                self._feed.append(chunk, epoch=place.epoch)[0] is Standing.OK
                for chunk in _chunks(messages)
            )
        except FeedUnavailable as error:
            self._failed(error)
        else:
            if not fits:
                self.repair()

    def repair(self) -> None:
        """Append what the feed lacks; begin a new epoch when it was lost.

        Raises what `database.run` raises.
        """
        if time.monotonic() < self._not_before:
            return
        try:
            self._repair()
        except ConnectionLost:
            self._sound = False
            raise
        except FeedUnavailable as error:
            self._failed(error)
        else:
            self._sound, self._retry_s = True, RETRY_S

    def _repair(self) -> None:
        # The feed first: it never is ahead of a cursor read later, unless history was lost.
        epoch, newest = self._feed.newest()
        last = 0 if newest is None else newest["seq"]
        place = self._journal.place()
        reached = 0 <= place.seq - last <= REPAIR_EVENTS_MAX
        if epoch == place.epoch and reached and self._tells_the_same(newest):
            if last < place.seq:
                logger.info("feed lacked %d events up to seq %d", place.seq - last, place.seq)
            self._fill(place, last)
            return
        place = self._journal.renew_epoch(place.epoch)
        logger.warning("feed begins anew at seq %d, epoch %s", place.seq, place.epoch)
        self._feed.append((), epoch=place.epoch, fresh=True)
        self._fill(place, max(0, place.seq - TAIL_EVENTS), fresh=True)

    def _tells_the_same(self, newest: dict[str, Any] | None) -> bool:
        """Whether the journal has the feed's last event at the same place.

        Not so after a restore from a backup: the places have been given anew.
        """
        if newest is None:
            return True
        found = self._journal.between(newest["seq"] - 1, newest["seq"], limit=1)
        return [(newest["name"], newest["version"])] == [
            (item.event.name, item.event.version) for item in found
        ]

    def _fill(self, place: Place, last: int, *, fresh: bool = False) -> None:
        """Append the events after `last` up to `place`, with their records as they are now."""
        while last < place.seq:
            found = self._journal.between(last, place.seq, limit=APPEND_MESSAGES_MAX)
            records = self._folding.load(self._journal.using, [item.event for item in found])
            messages = [
                encode(
                    item.seq,
                    item.event,
                    epoch=place.epoch,
                    row=self._folding.row(
                        item.event, records.get((item.event.object, item.event.name))
                    ),
                )
                for item in found
            ]
            standing, _last = self._feed.append(messages, epoch=place.epoch, fresh=fresh)
            if standing is not Standing.OK:
                return  # Another observer repairs as well; the next look finds out.
            last, fresh = found[-1].seq, False

    def _failed(self, error: FeedUnavailable) -> None:
        self._sound = False
        self._not_before = time.monotonic() + self._retry_s
        self._retry_s = min(self._retry_s * 2, RETRY_S_MAX)
        logger.warning("feed unavailable, records go on without it: %s", error)


def _chunks(messages: Sequence[Message]) -> list[Sequence[Message]]:
    starts = range(0, len(messages), APPEND_MESSAGES_MAX)
    return [messages[start : start + APPEND_MESSAGES_MAX] for start in starts]
