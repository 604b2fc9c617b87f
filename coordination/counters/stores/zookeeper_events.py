"""The events of counters in ZooKeeper: one shard, its positions the transactions that made them.

Every counter has event nodes of its own, so they are put in order by the number that the ensemble
gave the transaction. Reading is not one step: so nodes are looked at twice, and what is told goes
no further than the newest change that was there at the first look; by the second, everything up to
that one is there to be seen.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from coordination.connections.zookeeper_errors import ZooKeeperRefused
from coordination.connections.zookeeper_requests import Children, Get, Stat, Sync
from coordination.counters.foreign import CellName, CounterEvent, Page, Recorded
from coordination.counters.stores.zookeeper import BATCH, EVENTS_KEPT, ZooKeeperCounters
from coordination.counters.types import Reading
from coordination.locks.stores.zookeeper.paths import quoted, unquoted
from coordination.locks.types import moment

SHARD = 0


class _Cell(NamedTuple):
    """A counter's node, and the transaction that wrote it last."""

    path: str
    name: str
    reading: Reading
    zxid: int


class ZooKeeperCounterEvents:
    """Counters of a ZooKeeper; see `coordination.counters.foreign.CounterEventSource`."""

    shards = 1

    def __init__(self, counters: ZooKeeperCounters) -> None:
        self.alias = counters.alias
        self._counters = counters

    def shard_of(self, _name: str) -> int:
        """There is one."""
        return SHARD

    def read(self, after: Mapping[int, int], *, limit: int) -> Mapping[int, Page]:
        """Events from the given position on."""
        position = after[SHARD]
        cells = self._cells()
        newest = max((cell.zxid for cell in cells), default=0)
        if newest > position:
            cells = self._cells()
        entries: list[Recorded] = []
        for cell in cells:
            if cell.zxid >= position:
                entries += self._events(cell, position)
        entries = [each for each in entries if position <= each.position <= newest]
        entries.sort(key=lambda each: each.position)
        page = Page(
            entries=entries[: limit + 1],
            begins=all(cell.reading.version <= EVENTS_KEPT for cell in cells),
            more=len(entries) > limit,
        )
        return {SHARD: page}

    def live(self) -> list[str]:
        """Every counter that was written."""
        return [cell.name for cell in self._cells()]

    def states(self, cells: Sequence[CellName]) -> Mapping[CellName, Reading]:
        """Those that were ever written."""
        # A server that lags behind would tell of a past that looks like a loss.
        self._ask(Sync(self._counters.top))
        paths = [f"{self._counters.top}/{quoted(cell.name)}" for cell in cells]
        found = dict(self._stored(paths))
        return {
            cell: found[path].reading
            for cell, path in zip(cells, paths, strict=True)
            if path in found
        }

    def _cells(self) -> list[_Cell]:
        top = self._counters.top
        _, listed = self._ask(Sync(top), Children(top))
        if isinstance(listed, ZooKeeperRefused):
            return []
        return [cell for _, cell in self._stored([f"{top}/{name}" for name in listed[0]])]

    def _stored(self, paths: Sequence[str]) -> Iterable[tuple[str, _Cell]]:
        for at in range(0, len(paths), BATCH):
            some = paths[at : at + BATCH]
            for path, reply in zip(some, self._ask(*map(Get, some)), strict=True):
                if not isinstance(reply, ZooKeeperRefused):
                    data, stat = reply
                    name = unquoted(path.rpartition("/")[2])
                    yield path, _Cell(path, name, _reading(data), stat.mzxid)

    def _events(self, cell: _Cell, position: int) -> list[Recorded]:
        """From the newest back to the position; where one is missing, the loss stands before."""
        found: list[Recorded] = []
        last = cell.reading.version
        for top in range(last, 0, -BATCH):
            versions = range(top, max(0, top - BATCH), -1)
            replies = self._ask(*(Get(f"{cell.path}/e/{version}") for version in versions))
            for version, reply in zip(versions, replies, strict=True):
                if isinstance(reply, ZooKeeperRefused):
                    if found and position:
                        lost = Recorded(position=found[-1].position - 1, print="", event=None)
                        found.append(lost)
                    return found
                data, stat = reply
                if stat.czxid < position:
                    return found
                found.append(_recorded(cell.name, version, data, stat))
        return found

    def _ask(self, *requests: Any) -> list[Any]:
        zookeeper = self._counters.zookeeper
        return zookeeper.ask(*requests, deadline_ms=self._counters.deadline_ms)


def _reading(data: bytes) -> Reading:
    try:
        value, version, *_ = json.loads(data)
        return Reading(int(value), int(version))
    except (ValueError, TypeError):
        # Somebody else wrote it: no counter has this version.
        return Reading(0, -1)


def _recorded(name: str, version: int, data: bytes, stat: Stat) -> Recorded:
    return Recorded(
        position=stat.czxid,
        print=f"{zlib.crc32(f'{stat.ctime_ms} '.encode() + data):08x}",
        event=_event(name, version, data, stat),
    )


def _event(name: str, version: int, data: bytes, stat: Stat) -> CounterEvent | None:
    try:
        told = json.loads(data)
        at_us = stat.ctime_ms * 1_000
        moment(at_us)
        return CounterEvent(
            kind=told.pop("kind"),
            name=name,
            at_us=at_us,
            node=told.pop("node"),
            id=told.pop("id"),
            version=version,
            before=int(told.pop("before")),
            after=int(told.pop("after")),
            note=told,
        )
    except (ValueError, OverflowError, TypeError, KeyError, AttributeError):
        return None
