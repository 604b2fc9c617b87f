"""Holds of counters in Redis: one Lua script a verb; `holds.lua` says what is kept where."""

from collections.abc import Callable
from typing import Any

from coordination import conf
from coordination.connections.redis import Script
from coordination.counters.events import fragment, note_of
from coordination.counters.holding import exceeded
from coordination.counters.stores.redis import RedisCounters, shard_of, shard_prefix, source
from coordination.counters.types import Reading, Rules
from coordination.kernel.holds import HoldState, Kept
from coordination.locks.redis_clock import deadline_us, forget_later
from coordination.locks.redis_hashes import hashes
from coordination.locks.repeating import repeated


class RedisCounterHolds:
    """See `coordination.counters.holding.CounterHolds`."""

    def __init__(self, counters: RedisCounters) -> None:
        self._counters = counters
        self._hold, self._apply, self._cancel = (
            counters.redis.script(source(verb)) for verb in ("hold", "apply", "cancel")
        )

    def hold(
        self, rules: Rules, amount: int, *, branch: str, remaining_ms: Callable[[], int]
    ) -> HoldState:
        """Keep room, until the deadline by the server's clock."""
        until_us = deadline_us(self._counters.redis, remaining_ms)
        ruled = f"{rules.initial} {rules.lowest} {rules.highest}"
        said = self._said(self._hold, rules, branch, amount, ruled, until_us)
        if said.startswith("exceeded"):
            _, value, version = said.split(" ")
            stands = Reading(int(value), int(version))
            raise exceeded(rules, amount, stands, store=self._counters.alias)
        return HoldState(said)

    def apply(self, rules: Rules, amount: int, *, branch: str) -> HoldState:
        """Add what was held."""
        return HoldState(
            self._said(self._apply, rules, branch, rules.initial, fragment(note_of(rules)))
        )

    def cancel(self, rules: Rules, *, branch: str) -> HoldState:
        """Let go of it, and of one that comes later."""
        return HoldState(self._said(self._cancel, rules, branch, conf.current().op_id_ttl_ms))

    def forget(self, rules: Rules, *, branch: str) -> None:
        """Not at once: a late copy of the hold shall find that it has ended."""
        ended = self._keys(rules, branch)[1]
        forget_later(self._counters.redis, ended, conf.current().op_id_ttl_ms)

    def kept(self) -> list[Kept]:
        """Of every counter."""
        return [
            Kept(key.partition("}:holds:")[2], branch.decode(), int(amount))
            for key, found in hashes(self._counters.redis, "concord:{counter-*}:holds:*")
            for branch, amount in found
        ]

    def _said(self, script: Script, rules: Rules, branch: str, *told: Any) -> str:
        keys = self._keys(rules, branch)
        given = (rules.name, self._counters.node, branch, *told)
        reply: bytes = repeated(
            lambda deadline_ms: script(keys, given, deadline_ms=deadline_ms),
            deadline_ms=self._counters.deadline_ms,
        )
        return reply.decode()

    def _keys(self, rules: Rules, branch: str) -> tuple[str, ...]:
        shard, name = shard_prefix(shard_of(rules.name)), rules.name
        return (
            f"{shard}value:{name}",
            f"{shard}ended:{name} {branch}",
            f"{shard}events",
            f"{shard}held:{name}",
            f"{shard}holds:{name}",
        )
