"""Counts the queues of a store, each in one atomic step: a script, or one statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from coordination import conf, registry
from coordination.connections.redis import RedisStore
from coordination.exceptions import NotSupportedByStore
from coordination.kernel.settings import DATABASE, RABBITMQ, ZOOKEEPER, StoreSettings
from coordination.queues import declaring
from coordination.queues.census import Census
from coordination.queues.store import QueueStore
from coordination.queues.stores import queue_store, redis_records
from coordination.queues.stores.redis_keys import ANSWER, keys_of
from coordination.queues.stores.redis_scripts import source
from coordination.queues.types import State

HEADS_MAX: Final = 40_000
"""Blocks of one queue in Redis that are counted one by one, which takes thirty milliseconds."""
IDS_MAX: Final = 10_000


class Counter(Protocol):
    """Counts the queues of one store alias. All raise StoreUnavailable or OutcomeUnknown."""

    alias: str

    def names(self) -> list[str]:
        """Queues that the store knows of."""

    def count(self, queue: str) -> Census:
        """A queue at one moment."""

    def ids(self, queue: str) -> set[str] | None:
        """The ids of all it holds; None when these are more than `IDS_MAX`."""


class DatabaseCounter:
    """Queues of a database store: its statistics are counts of rows, and one statement."""

    def __init__(self, store: QueueStore) -> None:
        self.alias = store.alias
        self._store = store

    def names(self) -> list[str]:
        """Queues that the store knows of."""
        return self._store.names()

    def count(self, queue: str) -> Census:
        """A queue at one moment."""
        stats = self._store.stats(_declared(queue))
        assert stats.totals is not None
        return Census(
            store=self.alias,
            queue=queue,
            at_us=int(stats.at.timestamp() * 1_000_000),
            totals=stats.totals,
            held=stats.held,
            placed=stats.held,  # A row has a stage, and each stage is looked at.
        )

    def ids(self, queue: str) -> set[str] | None:
        """The ids of all it holds."""
        found: set[str] = set()
        for state in State:
            some = self._store.peek(_declared(queue), state=state, limit=IDS_MAX)
            found |= {each.id for each in some}
        return found if len(found) < IDS_MAX else None


class RedisCounter:
    """Queues of a Redis store."""

    def __init__(self, store: RedisStore, queues: QueueStore) -> None:
        self.alias = store.alias
        self._queues = queues
        self._store = store
        self._census = store.script(source("census"))

    def names(self) -> list[str]:
        """Queues that the store knows of."""
        return self._queues.names()

    def count(self, queue: str) -> Census:
        """A queue at one moment."""
        keys = keys_of(queue)
        own = (*keys[:ANSWER], keys[ANSWER], *keys[ANSWER + 1 :])
        reply = self._census(own, (queue, "", "", HEADS_MAX))
        return _census(reply, store=self.alias, queue=queue)

    def ids(self, queue: str) -> set[str] | None:
        """The ids of all it holds."""
        keys = keys_of(queue)
        sizes = self._store.pipeline(
            [("HLEN", keys[1]), ("LLEN", keys[ANSWER + 3]), ("HLEN", keys[ANSWER + 4])]
        )
        if sum(sizes) > IDS_MAX:
            return None
        own, ready, flying = self._store.pipeline(
            [("HKEYS", keys[1]), ("LRANGE", keys[ANSWER + 3], 0, -1), ("HVALS", keys[ANSWER + 4])]
        )
        return {each.decode() for each in own} | _of_heads((*ready, *flying))


def _of_heads(replies: Sequence[bytes]) -> set[str]:
    heads = (head for reply in replies for head in reply.decode().split("\n"))
    return {id_.strip('"') for head in heads for id_ in head.split(" ", 3)[3].split(",") if id_}


def _census(reply: Sequence[Any], *, store: str, queue: str) -> Census:
    now, counted, own, placed, ready, flying, lines, fifo, held, flat = reply
    config = {
        key.decode(): value.decode() for key, value in zip(flat[::2], flat[1::2], strict=True)
    }
    said = int(config.get("fifo", 0)), int(config.get("held", 0))
    exact = counted == b"1"
    blocks = fifo + held if exact else sum(said)
    # A block without its lines is lost, and lines without their block will never come.
    whole = not exact or ready + flying == lines
    return Census(
        store=store,
        queue=queue,
        at_us=int(now),
        totals=redis_records.totals(config),
        held=own + blocks,
        placed=placed + (blocks if whole else blocks - abs(ready + flying - lines)),
        counted=exact,
        version=int(config.get("v", 0)),
    )


def _declared(queue: str) -> Any:
    return declaring.first(queue, {}, defaults={"visibility_ms": 0, "max_attempts": 0})


def counters() -> list[Counter]:
    """One for each store whose queues can be counted."""
    stores = conf.current().stores.values()
    return [counter for store in stores if (counter := _counter(store)) is not None]


def uncounted() -> list[str]:
    """Stores with queues that nobody can count in one step."""
    stores = conf.current().stores.values()
    return [store.alias for store in stores if store.backend == RABBITMQ]


def _counter(store: StoreSettings) -> Counter | None:
    if store.backend in (RABBITMQ, ZOOKEEPER):
        return None
    try:
        queues = queue_store(store.alias)
        if store.backend == DATABASE:
            return DatabaseCounter(queues)
        return RedisCounter(registry.redis_store(store.alias), queues)
    except NotSupportedByStore:
        return None
