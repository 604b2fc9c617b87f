"""The events of locks in Redis: one stream a shard, its positions the stamps of the entries."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence

from coordination.connections.redis import RedisStore
from coordination.exceptions import CoordinationError
from coordination.locks.events import LockEvent, parse_packed
from coordination.locks.foreign import Page, Recorded, Snapshot
from coordination.locks.stores.redis import (
    EVENTS_KEPT,
    SHARDS,
    keys_of,
    shard_of,
    shard_prefix,
    source,
    stored,
)
from coordination.locks.types import Kind, Resource, moment

TOKEN_MAX = 2**63 - 1
SCAN_COUNT = 1_000
NOBODY = "*"
"""No resource has this name."""


class RedisLockEvents:
    """Events of the locks of one Redis store; see `coordination.locks.foreign.LockEventSource`."""

    shards = SHARDS

    def __init__(self, store: RedisStore) -> None:
        self.alias = store.alias
        self._store = store
        self._info = store.script(source("info"))

    def shard_of(self, resource: Resource) -> int:
        """Where the events of a resource are, from 0."""
        return shard_of(resource.name)

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

    def live(self) -> Iterator[Resource]:
        """Every resource with a holder or a queue."""
        cursor = b"0"
        while True:
            cursor, keys = self._store.call(
                "SCAN", cursor, "MATCH", "concord:{lock-*", "COUNT", SCAN_COUNT, "TYPE", "hash"
            )
            for key in keys:
                if (resource := _resource_of(key)) is not None:
                    yield resource
            if cursor == b"0":
                return

    def snapshots(self, resources: Sequence[Resource]) -> list[Snapshot]:
        """How resources stand, in one round trip."""
        calls = [(keys_of(each), (each.kind, each.name, "")) for each in resources]
        return [
            Snapshot(position=_stamp(reply[3]), info=stored(self.alias, resource, reply))
            for resource, reply in zip(resources, self._info.many(calls), strict=True)
            if not isinstance(reply, CoordinationError)
        ]


def _stamp(id_: bytes) -> int:
    return int(id_.partition(b"-")[0])


def _recorded(id_: bytes, fields: Sequence[bytes]) -> Recorded:
    packed = fields[1] if len(fields) == 2 else b""
    position = _stamp(id_)
    event = _event(packed, position)
    return Recorded(
        position=position,
        print=f"{zlib.crc32(packed):08x}",
        event=event,
        of_nobody=event is not None and event.resource.name == NOBODY,
    )


def _event(packed: bytes, stamp: int) -> LockEvent | None:
    try:
        event = parse_packed(packed.decode(), stamp=stamp)
        moment(event.at_us)
    except (ValueError, OverflowError):
        return None
    readable = isinstance(event.data, dict) and 0 <= event.token <= TOKEN_MAX
    return event if readable else None


def _resource_of(key: bytes) -> Resource | None:
    """Of the key of a hash of holders or of waiters."""
    parts = key.decode(errors="replace").partition("}:")[2].split(":", 2)
    if len(parts) < 3 or parts[0] not in ("held", "waiting") or parts[1] not in set(Kind):
        return None
    return Resource(Kind(parts[1]), parts[2])
