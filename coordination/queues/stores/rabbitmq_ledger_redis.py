"""The ledger of a RabbitMQ store in Redis: one small hash a message, one script a verb."""

import json
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from coordination.connections.redis import RedisStore
from coordination.queues import declaring
from coordination.queues.stores.rabbitmq_ledger import (
    ATTEMPTS_KEPT_MS,
    DONE_KEPT_MS,
    Begun,
    Fate,
    Mark,
)
from coordination.queues.types import Declaration

_HERE = Path(__file__).parent / "lua" / "rabbitmq"
_GRACE_MS = 500
"""How long after it is due a message may be on its way back."""


class RedisLedger:
    """See `rabbitmq_ledger.Ledger`."""

    def __init__(self, store: RedisStore, *, alias: str) -> None:
        """Keep it in `store`, for the RabbitMQ store with that alias."""
        self._store = store
        self._alias = alias
        verbs = ("declare", "begin", "settle", "end")
        self._scripts = {verb: store.script(_source(verb)) for verb in verbs}

    def declare(self, queue: Declaration, *, replace: bool) -> Declaration:
        """What the queue is by the first who said so."""
        # Named first: a queue that is named and not declared is declared by whoever asks next.
        self._store.call("SADD", f"concord:{{rabbitmq:{self._alias}}}:names", queue.name)
        text = json.dumps(declaring.as_fields(queue))
        found = self._scripts["declare"]([self._key(queue.name, "is")], [text, int(replace)])
        return declaring.of_fields(queue.name, json.loads(found))

    def names(self) -> list[str]:
        """Queues that were declared, in order."""
        found = self._store.call("SMEMBERS", f"concord:{{rabbitmq:{self._alias}}}:names")
        return sorted(name.decode() for name in found)

    def begin(
        self, queue: str, ids: Sequence[str], *, op: str, most: int, deadline_ms: int | None
    ) -> list[Begun]:
        """Count an attempt of each."""
        reply = self._scripts["begin"](
            [self._key(queue, "delayed"), *self._records(queue, ids)],
            [op, most, ATTEMPTS_KEPT_MS, *ids],
            deadline_ms=deadline_ms,
        )
        return [
            Begun(Fate(fate.decode()), attempts, suspect == 1, error.decode())
            for fate, attempts, suspect, error in reply
        ]

    def settle(
        self, queue: str, marks: Sequence[Mark], *, op: str, deadline_ms: int | None
    ) -> list[bool]:
        """Note what became of attempts."""
        told: list[str | int] = [op, DONE_KEPT_MS]
        for each in marks:
            told += (each.id, each.attempt, each.taker, each.verb, each.error, each.due_ms)
        reply = self._scripts["settle"](
            [self._key(queue, "delayed"), *self._records(queue, [each.id for each in marks])],
            told,
            deadline_ms=deadline_ms,
        )
        return [good == 1 for good in reply]

    def end(self, queue: str, ids: Sequence[str], *, op: str) -> None:
        """They are done, or gone elsewhere."""
        if ids:
            self._scripts["end"](self._records(queue, ids), [op, DONE_KEPT_MS])

    def forget(self, queue: str, ids: Sequence[str]) -> None:
        """Their attempts begin anew."""
        self._store.call("DEL", *self._records(queue, ids))

    def delayed(self, queue: str) -> int:
        """How many wait for another attempt."""
        key, due = self._key(queue, "delayed"), int(time.time() * 1000) - _GRACE_MS
        _, count = self._store.pipeline(
            [("ZREMRANGEBYSCORE", key, "-inf", f"({due}"), ("ZCARD", key)]
        )
        return int(count)

    def _key(self, queue: str, what: str) -> str:
        return f"concord:{{rabbitmq:{self._alias}:{queue}}}:{what}"

    def _records(self, queue: str, ids: Sequence[str]) -> list[str]:
        before = self._key(queue, "message:")
        return [before + each for each in ids]


@cache
def _source(verb: str) -> str:
    return (_HERE / f"{verb}.lua").read_text()
