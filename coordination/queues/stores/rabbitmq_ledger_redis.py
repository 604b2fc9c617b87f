"""The ledger of a RabbitMQ store in Redis: one small hash a message, one script a verb."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from coordination import conf
from coordination.connections.redis import RedisStore
from coordination.queues import declaring
from coordination.queues.stores.rabbitmq_ledger import (
    ATTEMPTS_KEPT_MS,
    Begun,
    Delivered,
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
        verbs = ("declare", "begin", "settle", "end", "delayed")
        self._scripts = {verb: store.script(script_source(verb)) for verb in verbs}

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

    def said(
        self, queue: str, op: str, content: str, kept_ms: int, *, deadline_ms: int | None
    ) -> str:
        """What the first publication with this op said, this one included."""
        key = self._key(queue, f"op:{op}")
        first: bytes
        _, first = self._store.pipeline(
            [("SET", key, content, "NX", "PX", kept_ms), ("GET", key)], deadline_ms=deadline_ms
        )
        return first.decode()

    def begin(
        self,
        queue: str,
        messages: Sequence[Delivered],
        *,
        op: str,
        most: int,
        lease_ms: int,
        deadline_ms: int | None,
    ) -> list[Begun]:
        """Count an attempt of each."""
        told: list[str | int] = [op, most, ATTEMPTS_KEPT_MS, lease_ms]
        for each in messages:
            told += each
        reply = self._scripts["begin"](
            [self._key(queue, "delayed"), *self._records(queue, [each.id for each in messages])],
            told,
            deadline_ms=deadline_ms,
        )
        return [_begun(*each) for each in reply]

    def settle(
        self, queue: str, marks: Sequence[Mark], *, op: str, deadline_ms: int | None
    ) -> list[bool]:
        """Note what became of attempts."""
        told: list[str | int] = [op, conf.current().op_id_ttl_ms]
        for each in marks:
            told += (each.id, each.attempt, each.taker, each.verb, each.error, each.delay_ms)
        reply = self._scripts["settle"](
            [self._key(queue, "delayed"), *self._records(queue, [each.id for each in marks])],
            told,
            deadline_ms=deadline_ms,
        )
        return [good == 1 for good in reply]

    def end(self, queue: str, ids: Sequence[str], *, op: str) -> None:
        """They are done, or gone elsewhere."""
        if ids:
            self._scripts["end"](self._records(queue, ids), [op, conf.current().op_id_ttl_ms])

    def forget(self, queue: str, ids: Sequence[str]) -> None:
        """Their attempts begin anew."""
        self._store.call("DEL", *self._records(queue, ids))

    def delayed(self, queue: str) -> int:
        """How many wait for another attempt."""
        return int(self._scripts["delayed"]([self._key(queue, "delayed")], [_GRACE_MS]))

    def _key(self, queue: str, what: str) -> str:
        return f"concord:{{rabbitmq:{self._alias}:{queue}}}:{what}"

    def _records(self, queue: str, ids: Sequence[str]) -> list[str]:
        return [record_key(self._alias, queue, each) for each in ids]


def record_key(alias: str, queue: str, id_: str) -> str:
    """Where it is kept what became of a message."""
    return f"concord:{{rabbitmq:{alias}:{queue}}}:message:{id_}"


def lasting_key(record: str) -> str:
    """What is there while a message may be published again, so that its record has to last."""
    return f"{record}:held"


def _begun(fate: bytes, attempts: int, suspect: int, said: bytes, left_ms: int) -> Begun:
    what, words = Fate(fate.decode()), said.decode()
    if what is Fate.EARLY:
        return Begun(what, attempts, suspect=False, error="", taker=words, left_ms=left_ms)
    return Begun(what, attempts, suspect == 1, words)


@cache
def script_source(verb: str) -> str:
    """The Lua of one verb."""
    return (_HERE / f"{verb}.lua").read_text()
