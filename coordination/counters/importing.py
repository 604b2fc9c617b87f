"""Copies events that stores of counters keep in streams of their own into the database's events.

Any number of importers may run. Each batch is one transaction that first moves the cursors of its
shards from where this importer read them: so each event is copied exactly once. An event says all
there is to know of its counter; so where a stream lost events only the counters that stand still
are told anew from their store (`counter.resynced`).
"""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from coordination import conf, failpoints
from coordination.counters.foreign import CellName, CounterEventSource, Page
from coordination.counters.import_journal import CounterImportJournal
from coordination.counters.projection import RESYNCED, key_of
from coordination.counters.runs import Run, runs
from coordination.counters.types import Reading
from coordination.exceptions import CoordinationError
from coordination.locks.types import moment
from coordination.observing.fences import Fenced
from coordination.observing.import_journal import Row
from coordination.observing.streams import Place, follow

logger = logging.getLogger(__name__)

EVENTS_MAX = 2_000
"""Of one shard in one batch."""
SNAPSHOTS_MAX = 200
WAITING_MAX = 2_000
"""Nothing is copied while so many events wait to be folded: those of others wait behind them."""
REMEMBERED_MAX = 200_000
"""Op ids of changes that were copied as part of a run, and so stand nowhere else."""
SEEN_EVERY_S = 1.0
RETRY_S, RETRY_S_MAX = 0.5, 5.0


@dataclass
class _Following:
    """One importer's view of one store."""

    source: CounterEventSource
    left: int = 0
    """Events that the last batch left behind, at least."""
    wanted: dict[str, None] = field(default_factory=dict)
    """Counters to be told anew."""
    surveyed: dict[int, int] = field(default_factory=dict)
    """Shard → the era in which its counters were put among the wanted."""
    ids: dict[tuple[str, str], int] = field(default_factory=dict)
    """Counter and op id of the last changes that are in runs → until when it is remembered."""
    seen_at: float = 0.0
    not_before: float = 0.0
    retry_s: float = RETRY_S


@dataclass(frozen=True, slots=True)
class _Batch:
    """What a look at a store comes to."""

    moves: Mapping[int, tuple[Place, Place]]
    rows: Sequence[Row]
    told: set[str]
    """Counters that need not be told anew any more."""
    ids: Mapping[tuple[str, str], int]
    lost: bool
    """Whether events were lost: what the store lost with them, it may well count again."""


class Importer:
    """Follows the streams of `sources` into the database alias `using`."""

    def __init__(self, using: str, sources: Sequence[CounterEventSource]) -> None:
        self._journal = CounterImportJournal(using)
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
        unsurveyed = _unsurveyed(followed, places)
        recorded = self._journal.known(source.alias) if unsurveyed else []
        try:
            _survey(followed, unsurveyed, recorded)
            states = _states(followed)
            after = {shard: place.position for shard, place in places.items()}
            pages = source.read(after, limit=EVENTS_MAX)
        except CoordinationError as error:
            followed.not_before = time.monotonic() + followed.retry_s
            followed.retry_s = min(followed.retry_s * 2, RETRY_S_MAX)
            logger.warning("events of counters in %s unread: %s", source.alias, error)
            return 0
        followed.retry_s = RETRY_S
        batch = _batch(followed, places, pages, states)
        self._commit(followed, batch)
        followed.left = sum(EVENTS_MAX for page in pages.values() if page.more)
        self._seen(followed)
        return len(batch.rows) or len(batch.moves)

    def _commit(self, followed: _Following, batch: _Batch) -> None:
        if batch.moves:
            failpoints.hit("counter-import.commit.before")
            try:
                self._journal.commit(followed.source.alias, batch.moves, batch.rows)
            except Fenced:
                # Whoever was first tells anew what is to be told anew, or it is found out again.
                followed.wanted.clear()
                followed.surveyed.clear()
                raise
            failpoints.hit("counter-import.commit.after")
        for name in batch.told:
            followed.wanted.pop(name, None)
        if batch.lost:
            followed.ids.clear()
        followed.ids |= batch.ids
        for pair in list(followed.ids)[: max(0, len(followed.ids) - REMEMBERED_MAX)]:
            del followed.ids[pair]

    def _seen(self, followed: _Following) -> None:
        now = time.monotonic()
        if now - followed.seen_at >= SEEN_EVERY_S:
            self._journal.seen(followed.source.alias, left=followed.left)
            followed.seen_at = now


def _unsurveyed(followed: _Following, places: Mapping[int, Place]) -> dict[int, int]:
    return {
        shard: place.era
        for shard, place in places.items()
        if place.missing and followed.surveyed.get(shard) != place.era
    }


def _survey(followed: _Following, unsurveyed: Mapping[int, int], recorded: Sequence[str]) -> None:
    """Put the counters of shards that lost events among the wanted."""
    if not unsurveyed:
        return
    source = followed.source
    found = [*source.live(), *recorded]
    followed.wanted |= {name: None for name in found if source.shard_of(name) in unsurveyed}
    followed.surveyed |= unsurveyed


def _states(followed: _Following) -> dict[str, Reading]:
    """How some of the wanted stand; none while their events are far behind."""
    if followed.left or not followed.wanted:
        return {}
    asked = [CellName(name) for name in list(followed.wanted)[:SNAPSHOTS_MAX]]
    found = followed.source.states(asked)
    return {cell.name: found.get(cell, Reading(0, 0)) for cell in asked}


def _batch(
    followed: _Following,
    places: Mapping[int, Place],
    pages: Mapping[int, Page],
    states: Mapping[str, Reading],
) -> _Batch:
    source = followed.source
    moves: dict[int, tuple[Place, Place]] = {}
    rows: list[list[Row]] = []
    told: set[str] = set()
    ids: dict[tuple[str, str], int] = {}
    kept_us = conf.current().op_id_ttl_ms * 1_000
    lost = False
    for shard, page in pages.items():
        place, imported = follow(places[shard], page)
        changed = {each.event.name for each in imported}
        mine = {name: state for name, state in states.items() if source.shard_of(name) == shard}
        if place.era != places[shard].era:
            logger.warning("events of counters in %s, shard %d, were lost", source.alias, shard)
            mine, lost = {}, True  # Read before it was known; the survey comes first.
        elif not page.more:
            told |= changed | mine.keys()
        still = {name: state for name, state in mine.items() if name not in changed}
        if page.more:
            still = {}
        made = runs(imported, known={} if lost else followed.ids)
        if len(made) < len(imported):
            events = [each.event for each in imported]
            ids |= {(each.name, each.id): each.at_us + kept_us for each in events}
        rows.append(
            [_row(source.alias, run) for run in made]
            + [_resync(source.alias, name, state, place.era) for name, state in still.items()]
        )
        wanted = followed.wanted.keys() - told
        if (
            place.missing
            and followed.surveyed.get(shard) == place.era
            and not any(source.shard_of(name) == shard for name in wanted)
        ):
            place = replace(place, missing=False)
        if still or place != places[shard]:
            moves[shard] = places[shard], place
    # Each shard in its own order; beside others, as near to the order of time as that allows.
    return _Batch(moves, list(heapq.merge(*rows, key=lambda row: row.at)), told, ids, lost)


def _row(alias: str, run: Run) -> Row:
    event = run.last
    more = {"first": run.first, "count": run.count} if run.count > 1 else {}
    return Row(
        kind=event.kind,
        name=key_of(alias, event.name),
        at=moment(event.at_us),
        node=event.node,
        actor=str(event.note.get("actor", "")),
        data={
            **event.note,
            "id": event.id,
            "before": run.before,
            "after": event.after,
            "v": event.version,
            **more,
            **({"doubled": True} if run.doubled else {}),
            "position": run.position,
            **({"era": run.era} if run.era else {}),
        },
    )


def _resync(alias: str, name: str, state: Reading, era: int) -> Row:
    """A counter as it stands; at version 0 nobody knows what its value would be."""
    return Row(
        kind=RESYNCED,
        name=key_of(alias, name),
        at=moment(time.time_ns() // 1_000),
        node="",
        actor="",
        data={
            "after": state.value if state.version else None,
            "v": state.version,
            **({"era": era} if era else {}),
        },
    )
