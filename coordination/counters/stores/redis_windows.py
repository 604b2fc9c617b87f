"""Windows in Redis: one Lua script, by the server's clock."""

from functools import cache
from pathlib import Path

from coordination import conf
from coordination.connections.redis import RedisStore
from coordination.counters.stores.redis import shard_of, shard_prefix
from coordination.counters.types import KEPT_MS, Counted, Span
from coordination.locks.repeating import repeated


@cache
def _source() -> str:
    return (Path(__file__).parent / "window.lua").read_text()


class RedisWindows:
    """What is counted within a time, in one Redis store."""

    def __init__(self, store: RedisStore) -> None:
        self.alias = store.alias
        self.deadline_ms = store.deadline_ms
        self._count = store.script(_source())

    def count(
        self, span: Span, amount: int, *, limit: int, id_: str, op_id: bool = False
    ) -> Counted:
        """Count `amount` unless more than `limit` would be counted; 0 looks only."""
        shard = shard_prefix(shard_of(span.name))
        # Spans of one name are apart: a slot of one has another width than that of the other.
        name = f"{span.name}:{span.width_us}:{span.back}"
        keys = (f"{shard}window:{name}", f"{shard}counted:{name} {id_}")
        kept_ms = conf.current().op_id_ttl_ms if op_id else KEPT_MS
        arguments = (kept_ms, amount, limit, span.width_us, span.back)
        reply: bytes = repeated(
            lambda deadline_ms: self._count(keys, arguments, deadline_ms=deadline_ms),
            deadline_ms=self.deadline_ms,
        )
        passed, counted, wait_us, said = reply.split(b" ")
        return Counted(passed == b"1", int(counted), int(wait_us), said.decode())
