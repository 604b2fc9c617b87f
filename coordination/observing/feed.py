"""The one ordered feed of all events: a Redis stream; observers append to it, web readers read.

Keys, for node `N`: stream `concord:{N}:feed`, epoch beside it in `concord:{N}:feed:epoch`. Entry
ids are `<seq>-0`; `seq` has no holes. Each entry has one field, `m`, a JSON object:

    seq      int, position in the feed
    epoch    str; another one than the reader's means the feed was lost: take a new snapshot
    kind     str, e.g. `branch.voted`
    object   str, e.g. `transaction`
    name     str, which object; the gid
    version  int, of the object, from 1
    at       str, ISO 8601 with offset, by the store's clock
    node     str
    actor    str
    data     object of the event's kind; `{"omitted_bytes": n}` when larger than DATA_BYTES_MAX
    row      object or null: the object's record after this event, or (after a repair) a later one;
             `row.version` tells. Apply it when its version is not older than what you have.

A reader whose next entry is not its last `seq` + 1 missed trimmed entries and takes a new snapshot.
The feed carries no truth: the database has every event, and observers repair the stream from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from coordination.connections.redis import RedisStore
from coordination.exceptions import CoordinationError
from coordination.kernel.events import Event

ENTRIES_MAX = 20_000
DATA_BYTES_MAX = 8_192
APPEND_MESSAGES_MAX = 200
DEADLINE_MS = 2_000


class FeedUnavailable(Exception):
    """Redis cannot be reached or refuses; what was sent may or may not have arrived."""


class Standing(StrEnum):
    """What an append found."""

    OK = "ok"
    GAP = "gap"
    """The stream lacks entries before the first message; nothing was appended."""
    LOST = "lost"
    """The stream is not of this epoch; nothing was appended."""


# Append messages that continue the stream; those it has already are passed over.
#   KEYS  stream, epoch key
#   ARGV  epoch, fresh ('1': begin the stream anew), entries kept, then seq and message in turn
#   → standing, seq of the stream's last entry ('0' when empty)
# One script, so that two observers cannot interleave and leave a hole behind a later entry.
APPEND = """
if ARGV[2] == '1' then
    redis.call('DEL', KEYS[1])
    redis.call('SET', KEYS[2], ARGV[1])
elseif redis.call('GET', KEYS[2]) ~= ARGV[1] then
    return {'lost', '0'}
end
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local last = newest[1] and string.match(newest[1][1], '^%d+') or '0'
if not ARGV[4] then return {'ok', last} end
if ARGV[2] ~= '1' and tonumber(ARGV[4]) > tonumber(last) + 1 then return {'gap', last} end
for i = 4, #ARGV, 2 do
    if tonumber(ARGV[i]) > tonumber(last) then
        redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], ARGV[i] .. '-0', 'm', ARGV[i + 1])
        last = ARGV[i]
    end
end
return {'ok', last}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One entry of the feed; `body` is its JSON."""

    seq: int
    body: str


def stream_key(node: str) -> str:
    """The stream's key; the braces keep it and the epoch on one shard of a cluster."""
    return f"concord:{{{node}}}:feed"


def epoch_key(node: str) -> str:
    """The key of the epoch the stream was begun in."""
    return f"{stream_key(node)}:epoch"


def encode(seq: int, event: Event, *, epoch: str, row: dict[str, Any] | None) -> Message:
    """The feed's message of one event and the record after it."""
    data: Any = dict(event.data)
    size = len(json.dumps(data))
    if size > DATA_BYTES_MAX:
        data = {"omitted_bytes": size}
    body = {
        "seq": seq,
        "epoch": epoch,
        "kind": event.kind,
        "object": event.object,
        "name": event.name,
        "version": event.version,
        "at": event.at.isoformat(),
        "node": event.node,
        "actor": event.actor,
        "data": data,
        "row": row,
    }
    return Message(seq=seq, body=json.dumps(body, separators=(",", ":")))


class Feed:
    """The feed of one node in one Redis store."""

    def __init__(self, store: RedisStore, node: str) -> None:
        self._store = store
        self.stream, self.epoch = stream_key(node), epoch_key(node)
        self._append = store.script(APPEND)

    def append(
        self, messages: Sequence[Message], *, epoch: str, fresh: bool = False
    ) -> tuple[Standing, int]:
        """Append `messages`, consecutive and in order; without any, only look.

        Args:
            messages: at most APPEND_MESSAGES_MAX.
            epoch: the epoch the stream must be of.
            fresh: drop the stream and begin it anew in `epoch`.

        Returns: what was found, and the `seq` of the stream's last entry.

        Raises FeedUnavailable; appending again is harmless.
        """
        pairs = [part for message in messages for part in (message.seq, message.body)]
        with _reaching():
            standing, last = self._append(
                [self.stream, self.epoch],
                [epoch, "1" if fresh else "0", ENTRIES_MAX, *pairs],
                deadline_ms=DEADLINE_MS,
            )
        return Standing(standing.decode()), int(last)

    def read_since(self, seq: int, *, count: int = 500, block_ms: int = 0) -> list[dict[str, Any]]:
        """Messages after `seq` in order, decoded; waits up to `block_ms` (0: not at all) for one.

        Raises FeedUnavailable.
        """
        block: tuple[str | int, ...] = ("BLOCK", block_ms) if block_ms > 0 else ()
        command = ("XREAD", "COUNT", count, *block, "STREAMS", self.stream, f"{seq}-0")
        with _reaching():
            reply = self._store.blocking(*command, block_ms=block_ms, deadline_ms=DEADLINE_MS)
        entries = reply[0][1] if reply else []
        return [json.loads(fields[1]) for _id, fields in entries]

    def newest(self) -> tuple[str | None, dict[str, Any] | None]:
        """The stream's epoch (None: there is no feed) and its last message, decoded.

        Raises FeedUnavailable.
        """
        with _reaching():
            epoch, newest = self._store.pipeline(
                [("GET", self.epoch), ("XREVRANGE", self.stream, "+", "-", "COUNT", 1)],
                deadline_ms=DEADLINE_MS,
            )
        last = json.loads(newest[0][1][1]) if newest else None
        return (epoch.decode() if epoch is not None else None), last


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except CoordinationError as error:
        raise FeedUnavailable(str(error)) from error
