"""Optimistic names in Redis: one Lua script compares the version and writes, with its event."""

import zlib
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path

from coordination.connections.redis import Command, RedisStore
from coordination.locks.repeating import repeated
from coordination.versions.types import ABSENT, Seen

SHARDS = 16
KEPT_MS = 20_000
"""How long an answer is remembered: far longer than its call may be repeated."""


@cache
def _source() -> str:
    return (Path(__file__).parent / "write.lua").read_text()


class RedisVersions:
    """Names of one Redis store; see `coordination.versions.store.VersionStore` for the verbs."""

    def __init__(self, store: RedisStore, *, node: str) -> None:
        self.alias = store.alias
        self._store = store
        self._node = node
        self._write = store.script(_source())

    def block(self) -> AbstractContextManager[None]:
        """Nothing: the body writes through the attempt alone."""
        return nullcontext()

    def may_see_newer(self) -> bool:
        """Always."""
        return True

    def read(self, name: str) -> Seen:
        """The name as it stands."""
        key = f"{_shard(name)}value:{name}"
        value, version, writer = self._store.call("HMGET", key, "value", "version", "writer")
        if version is None:
            return ABSENT
        return Seen(version=int(version), value=value.decode(), writer=writer.decode())

    def write(self, name: str, seen: Seen, value: str, *, call: str) -> bool:
        """Write the next version, unless it is no longer as `seen`; False then."""
        keys = _keys(name, call)
        arguments = (name, self._node, call, seen.version, seen.writer, value, KEPT_MS)
        written = repeated(
            lambda deadline_ms: self._write(keys, arguments, deadline_ms=deadline_ms),
            deadline_ms=self._store.deadline_ms,
        )
        return bool(written)

    def stands(self, name: str, seen: Seen) -> bool:
        """Whether it is still as `seen`."""
        now = self.read(name)
        return (now.version, now.writer) == (seen.version, seen.writer)

    def is_conflict(self, error: BaseException) -> bool:
        """Never: what the body did elsewhere is not undone, so it is not run again."""
        return False


def _keys(name: str, call: str) -> Command:
    shard = _shard(name)
    own = (f"{shard}value:{name}", f"{shard}answer:{call}")
    return (*own, f"{shard}position", f"{shard}events")


def _shard(name: str) -> str:
    # CRC-32 spreads names over shards; nothing is secured by it.
    return f"concord:{{optimistic-{zlib.crc32(name.encode()) % SHARDS}}}:"
