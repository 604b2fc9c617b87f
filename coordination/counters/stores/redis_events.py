"""The events of counters in Redis: one stream a shard, its positions the stamps of the entries."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence

from coordination.connections.redis import RedisStore
from coordination.counters.foreign import CellName, CounterEvent, Page, Recorded
from coordination.counters.stores.redis import EVENTS_KEPT, SHARDS, shard_of, shard_prefix
from coordination.counters.types import Reading
from coordination.kernel.arguments import INTEGER_MAX
from coordination.locks.types import moment

SCAN_COUNT = 1_000


class RedisCounterEvents:
    """Counters of one Redis store; see `coordination.counters.foreign.CounterEventSource`."""

    shards = SHARDS

    def __init__(self, store: RedisStore) -> None:
        self.alias = store.alias
        self._store = store

    def shard_of(self, name: str) -> int:
        """Where the events of a counter are, from 0."""
        return shard_of(name)

    def read(self, after: Mapping[int, int], *, limit: int) -> Mapping[int, Page]:
        """Events of each shard from the given position on, in one round trip."""
        commands: list[tuple[str | int, ...]] = []
        for shard, position in after.items():
            events = f"{shard_prefix(shard)}events"
            commands.append(("XLEN", events))
            commands.append(("XRANGE", events, f"{position}-0", "+", "COUNT", limit + 1))
        replies = self._store.pipeline(commands)
        return {
            shard: Page(
                entries=[_recorded(*entry) for entry in entries],
                # It is trimmed to no fewer than these.
                begins=length < EVENTS_KEPT,
                more=len(entries) > limit,
            )
            for shard, length, entries in zip(after, replies[::2], replies[1::2], strict=True)
        }

    def live(self) -> Iterator[str]:
        """Every counter that was written."""
        cursor = b"0"
        while True:
            cursor, keys = self._store.call(
                "SCAN", cursor, "MATCH", "concord:{counter-*}:value:*", "COUNT", SCAN_COUNT
            )
            for key in keys:
                yield key.decode().partition("}:value:")[2]
            if cursor == b"0":
                return

    def states(self, cells: Sequence[CellName]) -> Mapping[CellName, Reading]:
        """Those that were ever written, in one round trip."""
        keys = [f"{shard_prefix(shard_of(cell.name))}value:{cell.name}" for cell in cells]
        replies = self._store.pipeline([("GET", key) for key in keys])
        found: dict[CellName, Reading] = {}
        for cell, reply in zip(cells, replies, strict=True):
            if reply is not None:
                found[cell] = _reading(reply)
        return found


def _reading(stored: bytes) -> Reading:
    try:
        value, version = stored.split(b" ")
        return Reading(int(value), int(version))
    except ValueError:
        # Somebody else wrote it: no counter has this version.
        return Reading(0, -1)


def _recorded(id_: bytes, fields: Sequence[bytes]) -> Recorded:
    packed = fields[1] if len(fields) == 2 else b""
    return Recorded(
        position=int(id_.partition(b"-")[0]),
        print=f"{zlib.crc32(packed):08x}",
        event=_event(packed),
    )


def _event(packed: bytes) -> CounterEvent | None:
    try:
        kind, _object, name, at_us, node, id_, version, data = packed.decode().split("\n", 7)
        told = json.loads(data)
        event = CounterEvent(
            kind=kind,
            name=name,
            at_us=int(at_us),
            node=node,
            id=id_,
            version=int(version),
            before=int(told.pop("before")),
            after=int(told.pop("after")),
            note=told,
        )
        moment(event.at_us)
    except (ValueError, OverflowError, KeyError, TypeError, AttributeError):
        return None
    readable = 0 < event.version <= INTEGER_MAX and " " not in name
    return event if readable else None
