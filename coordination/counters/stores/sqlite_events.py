"""The events of counters in SQLite: one shard, its positions those of the table."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence

from coordination.counters.foreign import CellName, CounterEvent, Page, Recorded
from coordination.counters.stores.sqlite import READ, SqliteCounters
from coordination.counters.types import Reading
from coordination.locks.types import moment

SHARD = 0

FROM = """
SELECT position, kind, name, version, at_us, node, call, before, after, note
FROM concord_counter_event WHERE position >= ? ORDER BY position LIMIT ?
"""
FIRST = "SELECT min(position) FROM concord_counter_event"
FORGET = """
DELETE FROM concord_counter_event WHERE position IN (
    SELECT position FROM concord_counter_event
    WHERE position < ? AND at_us < ? ORDER BY position LIMIT ?)
"""
LIVE = "SELECT DISTINCT name FROM concord_counter"

_Row = tuple[int, str, str, int, int, str, str, int, int, str]


class SqliteCounterEvents:
    """Counters of one SQLite store; see `coordination.counters.foreign.CounterEventSource`."""

    shards = 1

    def __init__(self, counters: SqliteCounters) -> None:
        self.alias = counters.alias
        self._counters = counters

    def shard_of(self, _name: str) -> int:
        """There is one."""
        return SHARD

    def read(self, after: Mapping[int, int], *, limit: int) -> Mapping[int, Page]:
        """Events from the given position on."""
        with self._counters.reading() as raw:
            ((first,),) = raw.execute(FIRST).fetchall()
            rows = raw.execute(FROM, (after[SHARD], limit + 1)).fetchall()
        page = Page(
            entries=[_recorded(row) for row in rows],
            begins=first in (None, 1),
            more=len(rows) > limit,
        )
        return {SHARD: page}

    def live(self) -> list[str]:
        """Every counter that was written."""
        with self._counters.reading() as raw:
            return [name for (name,) in raw.execute(LIVE).fetchall()]

    def states(self, cells: Sequence[CellName]) -> Mapping[CellName, Reading]:
        """Those that were ever written."""
        found: dict[CellName, Reading] = {}
        with self._counters.reading() as raw:
            for cell in cells:
                stands = raw.execute(READ, (cell.name,)).fetchone()
                if stands is not None:
                    found[cell] = Reading(*stands)
        return found

    def forget(self, *, before: int, older_us: int, limit: int) -> int:
        """Remove some events at positions below `before` and older than a time; how many."""
        with self._counters.transaction() as raw:
            return raw.execute(FORGET, (before, older_us, limit)).rowcount


def _recorded(row: _Row) -> Recorded:
    return Recorded(
        position=row[0],
        print=f"{zlib.crc32(json.dumps(row).encode()):08x}",
        event=_event(row),
    )


def _event(row: _Row) -> CounterEvent | None:
    _position, kind, name, version, at_us, node, call, before, after, note = row
    try:
        moment(at_us)
        told = json.loads(note)
        return CounterEvent(
            kind=kind,
            name=name,
            at_us=at_us,
            node=node,
            id=call,
            version=version,
            before=before,
            after=after,
            note={**told},
        )
    except (ValueError, OverflowError, TypeError):
        return None
