"""Reads the feed's Redis stream, and the records when there is no stream to read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import structlog

from coordination import conf, registry
from coordination.observing.feed import stream_key
from dashboard.events import ROWS, FeedItem
from dashboard.feed.asking import ask
from dashboard.limits import CATCH_UP_EVENTS, STREAM_BATCH, STREAM_BLOCK_S
from dashboard.queries import history

logger = structlog.get_logger(__name__)


class Stream:
    """The feed of this node, read by one connection of its own."""

    def __init__(self) -> None:
        settings = conf.current()
        alias = settings.transactions.mailbox
        self._key = stream_key(settings.node)
        self._connection = registry.aconnection(alias) if alias is not None else None

    @property
    def exists(self) -> bool:
        """Whether this project has a Redis store for the feed at all."""
        return self._connection is not None

    async def read(self, seq: int) -> Sequence[FeedItem]:
        """Items after `seq`; waits up to `STREAM_BLOCK_S` for one and may return none.

        Raises:
            StoreUnavailable: Redis cannot be reached.
            OutcomeUnknown: it did not answer in time.
        """
        connection = self._connection
        if connection is None:
            return ()
        block_ms = int(STREAM_BLOCK_S * 1000)
        command = ("XREAD", "COUNT", STREAM_BATCH, "BLOCK", block_ms, "STREAMS", self._key)
        reply: Any = await connection.blocking(*command, f"{seq}-0", block_ms=block_ms)
        entries = reply[0][1] if reply else ()
        return [_item(json.loads(fields[1])) for _id, fields in entries]

    async def aclose(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.aclose()


def _item(message: dict[str, Any]) -> FeedItem:
    item = FeedItem.read(message)
    if item.row is None and message.get("row") and message["object"] in ROWS:
        logger.warning("feed_row_unreadable", kind=item.event.kind, name=item.event.name)
    return item


async def from_records(seq: int, *, epoch: str, limit: int = CATCH_UP_EVENTS) -> list[FeedItem]:
    """The same items from the event log."""
    return list(await ask(history.after, seq, epoch=epoch, limit=limit))


async def position() -> history.Position:
    """Where the feed stands by the records."""
    return await ask(history.position)
