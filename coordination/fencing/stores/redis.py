"""Fenced values in Redis: one Lua script compares the token and writes, with its event."""

import zlib
from functools import cache
from pathlib import Path

from coordination.connections.redis import Command, RedisStore
from coordination.fencing.types import Call, Written
from coordination.locks.repeating import repeated

SHARDS = 16
BURIED_MS = 7 * 24 * 3_600_000
"""How long a deleted value's token is remembered: longer than anybody is paused."""


@cache
def _source() -> str:
    return (Path(__file__).parent / "write.lua").read_text()


class RedisValues:
    """Values of one Redis store; see `coordination.fencing.store.ValueStore` for the verbs."""

    def __init__(self, store: RedisStore, *, node: str) -> None:
        self.alias = store.alias
        self._store = store
        self._node = node
        self._write = store.script(_source())

    def read(self, name: str) -> tuple[str | None, int]:
        """The value as JSON, None when there is none, and the token that wrote it, else 0."""
        key = f"{_shard(name)}value:{name}"
        value, token = self._store.call("HMGET", key, "value", "token")
        return None if value is None else value.decode(), int(token or 0)

    def write(self, name: str, value: str | None, *, fence: int | None, call: Call) -> Written:
        """Write if no newer token has; None deletes. Without `fence` nothing is compared."""
        arguments = (
            *(name, self._node, call.id, "delete" if value is None else "set", value or ""),
            *("" if fence is None else str(fence), call.kept_ms, BURIED_MS),
        )
        keys = _keys(name, call.id)
        word, standing = repeated(
            lambda deadline_ms: self._write(keys, arguments, deadline_ms=deadline_ms),
            deadline_ms=self._store.deadline_ms,
        )
        return Written(standing=int(standing), refused=word == b"stale")


def _keys(name: str, op_id: str) -> Command:
    shard = _shard(name)
    # The answer belongs to the name too: an id somebody uses for two values is two calls.
    # No name has a space, so no two pairs of name and op id come to the same key.
    answer = f"{shard}answer:{name} {op_id}"
    return (f"{shard}value:{name}", answer, f"{shard}position", f"{shard}events")


def _shard(name: str) -> str:
    # CRC-32 spreads names over shards; nothing is secured by it.
    return f"concord:{{fenced-{zlib.crc32(name.encode()) % SHARDS}}}:"
