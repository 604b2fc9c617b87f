"""Looking through all hashes of a kind in a Redis: for operators, since it passes every key."""

from collections.abc import Iterator
from typing import Any

from coordination.connections.redis import RedisStore

PAGE = 1_000


def hashes(store: RedisStore, pattern: str) -> Iterator[tuple[str, list[tuple[bytes, bytes]]]]:
    """Each key that matches, with its fields and values. Raises StoreUnavailable."""
    cursor = b"0"
    seen: set[bytes] = set()
    while True:
        cursor, keys = store.call("SCAN", cursor, "MATCH", pattern, "COUNT", PAGE)
        for key in keys:
            if key not in seen:
                seen.add(key)
                yield key.decode(), pairs(store.call("HGETALL", key))
        if cursor == b"0":
            return


def pairs(flat: list[Any]) -> list[tuple[bytes, bytes]]:
    """Of a reply in which fields and values take turns."""
    return list(zip(flat[::2], flat[1::2], strict=True))
