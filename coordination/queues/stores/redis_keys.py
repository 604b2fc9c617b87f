"""Where queues are in a Redis: the keys of one share a hash slot with its dead letter queue."""

import zlib
from functools import lru_cache

from coordination.queues.declaring import DEAD_LETTER_SUFFIX

SHARDS = 16
_OF_QUEUE = (
    *("config", "messages", "ready", "delayed", "inflight", "taken", "grouped", "busy"),
    *("expiring", "waiters"),
)

ANSWER = len(_OF_QUEUE)
"""Where the answer's key is among the keys of a queue."""


def shard_of(name: str) -> int:
    """Which shard a queue is on: that of the queue whose dead letters it keeps."""
    # CRC-32 spreads names over shards; nothing is secured by it.
    return zlib.crc32(name.removesuffix(DEAD_LETTER_SUFFIX).encode()) % SHARDS


def shard_prefix(number: int) -> str:
    """What the keys of a shard begin with."""
    return f"concord:{{queue-{number}}}:"


def names_key(number: int) -> str:
    """The set of a shard's queues."""
    return f"{shard_prefix(number)}names"


def events_key(number: int) -> str:
    """The stream of a shard's events."""
    return f"{shard_prefix(number)}events"


def dedup_key(name: str, dedup: str) -> str:
    """Where the first message of a dedup id is remembered."""
    return f"{shard_prefix(shard_of(name))}dedup:{len(name)}:{name}:{dedup}"


@lru_cache(maxsize=4096)
def keys_of(name: str) -> tuple[str, ...]:
    """Keys of a queue in the order of `head.lua`; the answer's lacks the op."""
    number = shard_of(name)
    prefix = shard_prefix(number)
    own = tuple(f"{prefix}{what}:{name}" for what in _OF_QUEUE)
    shared = (f"{prefix}answer:{len(name)}:{name}:", events_key(number), names_key(number))
    return (*own, *shared, *(f"{prefix}{what}:{name}" for what in ("fifo", "held", "blocks")))
