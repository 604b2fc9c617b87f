"""Copies events that stores of locks keep in streams of their own into the database's events.

Any number of importers may run. Each batch is one transaction that first moves the cursors of its
shards from where this importer read them: so each event is copied exactly once. Where a stream
lost events the resources of its shard are told anew from a snapshot of the store (`lock.resynced`),
which takes its place in the history by the position it was taken at.
"""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from coordination import failpoints
from coordination.exceptions import CoordinationError
from coordination.locks.foreign import Imported, LockEventSource, Page, Snapshot
from coordination.locks.import_journal import LockImportJournal
from coordination.locks.projection import RESYNCED, key_of
from coordination.locks.record import Holder, Waiter
from coordination.locks.types import Claimant, Kind, Resource, moment
from coordination.observing.fences import Fenced
from coordination.observing.import_journal import Row
from coordination.observing.streams import Place, follow

logger = logging.getLogger(__name__)

EVENTS_MAX = 500
"""Of one shard in one batch."""
SNAPSHOTS_MAX = 200
WAITING_MAX = 2_000
"""Nothing is copied while so many events wait to be folded: those of others wait behind them."""
SEEN_EVERY_S = 1.0
RETRY_S, RETRY_S_MAX = 0.5, 5.0


@dataclass
class _Following:
    """One importer's view of one store."""

    source: LockEventSource
    left: int = 0
    """Events that the last batch left behind, at least."""
    wanted: dict[Resource, None] = field(default_factory=dict)
    """To be told anew."""
    surveyed: dict[int, int] = field(default_factory=dict)
    """Shard → the era in which its resources were put among the wanted."""
    seen_at: float = 0.0
    not_before: float = 0.0
    retry_s: float = RETRY_S


class Importer:
    """Follows the streams of `sources` into the database alias `using`."""

    def __init__(self, using: str, sources: Sequence[LockEventSource]) -> None:
        self._journal = LockImportJournal(using)
        self._followed = {source.alias: _Following(source) for source in sources}

    def step(self) -> int:
        """Import a batch of every store that answers; returns how many events were copied.

        0 also while too many of those copied before wait to be folded.

        Raises Fenced when another importer was first, and what `database.run` raises.
        """
        if self._journal.crowded(WAITING_MAX):
            return 0
        return sum(self._import(followed) for followed in self._followed.values())

    def resync(self, alias: str, resources: Iterable[Resource]) -> None:
        """Let resources be told anew from a snapshot, where the store is one of the sources'."""
        if alias in self._followed:
            self._followed[alias].wanted |= dict.fromkeys(resources)

    def _import(self, followed: _Following) -> int:
        if time.monotonic() < followed.not_before:
            return 0
        source = followed.source
        places = self._journal.places(source.alias, source.shards)
        recorded = self._live_records(followed, places)
        try:
            self._survey(followed, places, recorded)
            snapshots = self._snapshots(followed)
            after = {shard: place.position for shard, place in places.items()}
            pages = source.read(after, limit=EVENTS_MAX)
        except CoordinationError as error:
            followed.not_before = time.monotonic() + followed.retry_s
            followed.retry_s = min(followed.retry_s * 2, RETRY_S_MAX)
            logger.warning("events of %s unread: %s", source.alias, error)
            return 0
        followed.retry_s = RETRY_S
        return self._commit(followed, places, pages, snapshots)

    def _commit(
        self,
        followed: _Following,
        places: Mapping[int, Place],
        pages: Mapping[int, Page],
        snapshots: Sequence[Snapshot],
    ) -> int:
        source = followed.source
        moves: dict[int, tuple[Place, Place]] = {}
        rows: list[list[Row]] = []
        told: set[Resource] = set()
        left = 0
        for shard, page in pages.items():
            place, imported = follow(places[shard], page)
            left += EVENTS_MAX if page.more else 0
            mine = [
                each
                for each in snapshots
                if source.shard_of(each.info.resource) == shard
                and places[shard].position <= each.position <= place.position
            ]
            if place.era != places[shard].era:
                logger.warning("events of %s shard %d were lost", source.alias, shard)
                mine = []  # Taken before it was known; the survey comes first.
            told |= {each.info.resource for each in mine}
            rows.append(_merged(source.alias, imported, mine, place.era))
            place = self._whole_again(followed, shard, place, told)
            # A snapshot alone moves nothing, and has its place only while nobody else does.
            if mine or place != places[shard]:
                moves[shard] = places[shard], place
        # Each shard in its own order; beside others, as near to the order of time as that allows.
        copied = list(heapq.merge(*rows, key=lambda row: row.at))
        if moves:
            self._move(followed, moves, copied)
        for resource in told:
            followed.wanted.pop(resource, None)
        followed.left = left
        self._seen(followed)
        return len(copied) or len(moves)

    def _move(
        self,
        followed: _Following,
        moves: Mapping[int, tuple[Place, Place]],
        rows: Sequence[Row],
    ) -> None:
        failpoints.hit("import.commit.before")
        try:
            self._journal.commit(followed.source.alias, moves, rows)
        except Fenced:
            # Whoever was first tells anew what is to be told anew, or it is found out again.
            followed.wanted.clear()
            followed.surveyed.clear()
            raise
        failpoints.hit("import.commit.after")

    def _live_records(
        self, followed: _Following, places: Mapping[int, Place]
    ) -> list[tuple[str, str]]:
        unsurveyed = any(
            place.missing and followed.surveyed.get(shard) != place.era
            for shard, place in places.items()
        )
        return self._journal.live(followed.source.alias) if unsurveyed else []

    def _survey(
        self,
        followed: _Following,
        places: Mapping[int, Place],
        recorded: Sequence[tuple[str, str]],
    ) -> None:
        """Put the resources of shards that lost events among the wanted."""
        missing = {
            shard: place.era
            for shard, place in places.items()
            if place.missing and followed.surveyed.get(shard) != place.era
        }
        if not missing:
            return
        source = followed.source
        known = [Resource(Kind(kind), name) for kind, name in recorded]
        found = [*source.live(), *known]
        followed.wanted |= {each: None for each in found if source.shard_of(each) in missing}
        followed.surveyed |= missing

    def _snapshots(self, followed: _Following) -> Sequence[Snapshot]:
        """Snapshots of some of the wanted; none while their events are far behind."""
        if followed.left or not followed.wanted:
            return ()
        asked = list(followed.wanted)[:SNAPSHOTS_MAX]
        snapshots = followed.source.snapshots(asked)
        for unread in set(asked) - {each.info.resource for each in snapshots}:
            logger.warning("%s of %s cannot be read", unread, followed.source.alias)
            del followed.wanted[unread]
        return snapshots

    def _whole_again(
        self, followed: _Following, shard: int, place: Place, told: set[Resource]
    ) -> Place:
        """The place of a shard of which nothing is left to be told anew."""
        if not place.missing or followed.surveyed.get(shard) != place.era:
            return place
        wanted = followed.wanted.keys() - told
        if any(followed.source.shard_of(each) == shard for each in wanted):
            return place
        return replace(place, missing=False)

    def _seen(self, followed: _Following) -> None:
        now = time.monotonic()
        if now - followed.seen_at >= SEEN_EVERY_S:
            self._journal.seen(followed.source.alias, left=followed.left)
            followed.seen_at = now


def _merged(
    alias: str, imported: Sequence[Imported], snapshots: Sequence[Snapshot], era: int
) -> list[Row]:
    """Rows of a shard's events and snapshots in the order of their positions."""
    rows = [(each.position, 0, _row(alias, each)) for each in imported]
    rows += [(each.position, 1, _resync(alias, each, era)) for each in snapshots]
    return [row for _, _, row in sorted(rows, key=lambda each: each[:2])]


def _row(alias: str, imported: Imported) -> Row:
    event = imported.event
    said = event.data.get("said", event.data)
    actor = said.get("actor") if isinstance(said, dict) else None
    return Row(
        kind=event.what,
        name=key_of(alias, event.resource.kind, event.resource.name),
        at=moment(event.at_us),
        node=event.node,
        actor=actor if isinstance(actor, str) else "",
        data={
            **event.data,
            "id": event.id,
            "token": event.token,
            "position": imported.position,
            **({"era": imported.era} if imported.era else {}),
        },
    )


def _resync(alias: str, snapshot: Snapshot, era: int) -> Row:
    info = snapshot.info
    return Row(
        kind=RESYNCED,
        name=key_of(alias, info.resource.kind, info.resource.name),
        at=info.at,
        node="",
        actor="",
        data={
            "holders": [_holder(each).as_json() for each in info.holders],
            "waiters": [_waiter(each).as_json() for each in info.waiters],
            "position": snapshot.position,
            **({"era": era} if era else {}),
        },
    )


def _holder(told: Claimant) -> Holder:
    return Holder(
        id=told.id,
        mode=told.mode.value,
        limit=told.limit,
        state=told.state.value,
        owner=told.owner,
        context=told.context,
        node=told.node,
        metadata=dict(told.metadata),
        token=told.token or 0,
        since=told.since,
        until=told.until,
        revoked_at=told.revoked_at,
    )


def _waiter(told: Claimant) -> Waiter:
    return Waiter(
        id=told.id,
        mode=told.mode.value,
        limit=told.limit,
        owner=told.owner,
        context=told.context,
        node=told.node,
        metadata=dict(told.metadata),
        since=told.since,
    )
