"""The events of queues in Redis: one stream a shard, its positions the ids of the entries."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

from coordination.connections.redis import RedisStore
from coordination.queues.events import QueueEvent, parse_packed
from coordination.queues.foreign import Page, Recorded
from coordination.queues.stores.redis_keys import SHARDS, events_key
from coordination.queues.types import moment

EVENTS_KEPT = 20_000
"""Of a shard; `lua/head.lua` trims to no fewer."""
NUMBER_BITS = 20
"""An entry's id is a millisecond and its number within it: below 2^20 of one stream."""


class RedisQueueEvents:
    """Events of the queues of one Redis store; see `coordination.queues.foreign`."""

    shards = SHARDS

    def __init__(self, store: RedisStore) -> None:
        self.alias = store.alias
        self._store = store

    def read(self, after: Mapping[int, int], *, limit: int) -> Mapping[int, Page]:
        """Events of each shard from the given position on, in one round trip."""
        commands: list[tuple[str | int, ...]] = []
        for shard, position in after.items():
            commands.append(("XLEN", events_key(shard)))
            first = _id_of(position)
            commands.append(("XRANGE", events_key(shard), first, "+", "COUNT", limit + 1))
        replies = self._store.pipeline(commands)
        return {
            shard: Page(
                entries=[_recorded(*entry) for entry in entries],
                begins=length < EVENTS_KEPT,
                more=len(entries) > limit,
            )
            for shard, length, entries in zip(after, replies[::2], replies[1::2], strict=True)
        }


def _id_of(position: int) -> str:
    return f"{position >> NUMBER_BITS}-{position & ((1 << NUMBER_BITS) - 1)}"


def _recorded(id_: bytes, fields: Sequence[bytes]) -> Recorded:
    packed = fields[1] if len(fields) == 2 else b""
    stamp, _, number = id_.partition(b"-")
    return Recorded(
        position=int(stamp) << NUMBER_BITS | int(number),
        print=f"{zlib.crc32(packed):08x}",
        event=_event(packed),
    )


def _event(packed: bytes) -> QueueEvent | None:
    try:
        event = parse_packed(packed.decode())
        moment(event.at_us)
    except (ValueError, OverflowError):
        return None
    return event
