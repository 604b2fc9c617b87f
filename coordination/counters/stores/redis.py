"""Counters in Redis: one Lua script a call, each of them one atomic step with its event.

A script runs alone on the server, so several rows would only cost: a counter with `shards` is one
key as well. Keys of one shard of the store share a hash slot.
"""

import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from coordination import conf
from coordination.connections.redis import Command, RedisStore, Script
from coordination.counters.events import fragment, note_of, parse_packed
from coordination.counters.types import (
    KEPT_MS,
    KINDS,
    Answer,
    Change,
    Ending,
    Past,
    Reading,
    Rules,
    Verb,
)
from coordination.exceptions import CoordinationError, OutcomeUnknown, StoreUnavailable
from coordination.kernel.arguments import INTEGER_MAX

SHARDS = 16
EVENTS_KEPT = 10_000
"""Of a shard, at least; as in tell.lua."""
PAGE = 1_000
AGAIN = f"-{KEPT_MS}"
UNKNOWN = b"unknown"
_HERE = Path(__file__).parent

T = TypeVar("T")
_ENDINGS = {ending.encode(): ending for ending in Ending}


@cache
def source(verb: str) -> str:
    """The Lua of one verb."""
    text = (_HERE / f"{verb}.lua").read_text()
    for part in ("again", "tell", "holds"):
        text = text.replace(f"--#{part}\n", (_HERE / f"{part}.lua").read_text())
    return text


class RedisCounters:
    """Counters of one Redis store; see `coordination.counters.store.CounterStore`."""

    def __init__(self, store: RedisStore, *, node: str) -> None:
        self.alias = store.alias
        self.deadline_ms = store.deadline_ms
        self.redis = store
        self.node = node
        self.add = store.script(source("add"))
        self.write = store.script(source("change"))

    def cell(self, rules: Rules) -> "RedisCell":
        """One counter; nothing is sent."""
        return RedisCell(self, rules)


class RedisCell:
    """One counter; see `coordination.counters.store.Cell` for the verbs."""

    def __init__(self, store: RedisCounters, rules: Rules) -> None:
        shard = shard_prefix(shard_of(rules.name))
        self._store = store
        self._rules = rules
        self._value = f"{shard}value:{rules.name}"
        # The answer belongs to the name too: an id somebody uses for two counters is two calls.
        # A space is in neither of them, so that no two pairs come to one key.
        self._answers = f"{shard}answer:{rules.name} "
        self._events = f"{shard}events"
        self._held = f"{shard}held:{rules.name}"
        self._ruled = f"{rules.initial} {rules.lowest} {rules.highest}"
        plain = (rules.initial, rules.lowest, rules.highest) == (0, -INTEGER_MAX, INTEGER_MAX)
        self._add_ruled = "" if plain else self._ruled
        self._note = fragment(note_of(rules))
        self._kept_ms = conf.current().op_id_ttl_ms

    def read(self) -> Reading:
        """As it stands."""
        found = self._store.redis.call("GET", self._value)
        if found is None:
            return Reading(self._rules.initial, 0)
        value, version = found.split(b" ")
        return Reading(int(value), int(version))

    def change(self, change: Change) -> Answer:
        """Apply it; or the answer that the first call with its id got."""
        begun = time.monotonic()
        try:
            reply = self._script(change)(*self._told(change))
        except OutcomeUnknown as unknown:
            again = self._told(change, again=True)
            reply = self._repeated(
                begun, unknown, lambda left_ms: self._script(change)(*again, deadline_ms=left_ms)
            )
        return self._answer(reply)

    def change_many(self, changes: Sequence[Change]) -> list[Answer | CoordinationError]:
        """Apply several, each by itself and in this order, in one round trip."""
        if any(change.verb is not Verb.ADD for change in changes):
            return [self.change(change) for change in changes]
        add, begun = self._store.add, time.monotonic()
        try:
            replies = add.many([self._told(change) for change in changes])
        except OutcomeUnknown as unknown:
            again = [self._told(change, again=True) for change in changes]
            replies = self._repeated(
                begun, unknown, lambda left_ms: add.many(again, deadline_ms=left_ms)
            )
            # One that the server refused now may have been applied before.
            replies = [
                unknown if isinstance(reply, StoreUnavailable) else reply for reply in replies
            ]
        return [self._answer_or_error(reply) for reply in replies]

    def history(self, limit: int) -> list[Past]:
        """The last changes that the stream of its shard still has, the newest first."""
        found: list[Past] = []
        for packed in self._newest_first():
            name, past = parse_packed(packed.decode())
            if name == self._rules.name:
                found.append(past)
                if len(found) == limit:
                    break
        return found

    def _newest_first(self) -> Iterator[bytes]:
        end = b"+"
        while True:
            entries = self._store.redis.call("XREVRANGE", self._events, end, "-", "COUNT", PAGE)
            for _, fields in entries:
                yield fields[1]
            if len(entries) < PAGE:
                return
            end = b"(" + entries[-1][0]

    def _script(self, change: Change) -> Script:
        return self._store.add if change.verb is Verb.ADD else self._store.write

    def _told(self, change: Change, *, again: bool = False) -> tuple[Command, Command]:
        """Keys and arguments as add.lua and change.lua declare them."""
        kept = self._kept_ms if change.op_id else AGAIN if again else ""
        keys = (self._value, self._answers + change.id, self._events, self._held)
        common = (self._rules.name, self._store.node, change.id, kept)
        note = fragment(note_of(self._rules, change)) if change.actor else self._note
        if change.verb is Verb.ADD:
            return keys, (*common, change.number, self._add_ruled, note)
        expected = "" if change.expected is None else change.expected
        own = (KINDS[change.verb], change.number, expected, change.said, self._ruled, note)
        return keys, (*common, *own)

    def _repeated(self, begun: float, unknown: OutcomeUnknown, call: Callable[[int], T]) -> T:
        """`call` in what is left of the deadline; what is not known then stays so."""
        left_ms = self._store.deadline_ms - int((time.monotonic() - begun) * 1000)
        if left_ms <= 0:
            raise unknown
        try:
            return call(left_ms)
        except StoreUnavailable as later:
            raise unknown from later  # this one was not applied; the first may have been

    def _answer(self, reply: bytes) -> Answer:
        ending, value, version, said = reply.split(b" ", 3)
        if ending == UNKNOWN:
            raise OutcomeUnknown(
                f"Store {self._store.alias!r}: whether counter {self._rules.name!r} was changed is "
                "unknown: too many changes came after it.",
                name=self._rules.name,
                store=self._store.alias,
            )
        return Answer(_ENDINGS[ending], int(value), int(version), said.decode())

    def _answer_or_error(self, reply: Any) -> Answer | CoordinationError:
        if isinstance(reply, CoordinationError):
            return reply
        try:
            return self._answer(reply)
        except OutcomeUnknown as unknown:
            return unknown


def shard_of(name: str) -> int:
    """Which shard a name lives on."""
    # CRC-32 spreads names over shards; nothing is secured by it.
    return zlib.crc32(name.encode()) % SHARDS


def shard_prefix(number: int) -> str:
    """What the keys of a shard begin with."""
    return f"concord:{{counter-{number}}}:"
