"""Holds of counters in SQLite: a row each, in the file and the transaction of the branch's barrier.

So a step here happens if and only if its barrier stands, and neither lateness nor repetition has to
be told apart.
"""

import json
import time
from collections.abc import Callable

from coordination.counters.events import note_of
from coordination.counters.holding import exceeded
from coordination.counters.stores.sqlite import READ, TELL, WRITE, SqliteCounters, room
from coordination.counters.types import KINDS, Reading, Rules, Verb
from coordination.kernel.holds import HoldState, Kept

KNOWN = "SELECT 1 FROM concord_counter_hold WHERE name = ? AND branch = ?"
KEEP = "INSERT INTO concord_counter_hold (name, branch, amount, at_us) VALUES (?, ?, ?, ?)"
ALL = "SELECT name, branch, amount FROM concord_counter_hold ORDER BY at_us"
LET_GO = "DELETE FROM concord_counter_hold WHERE name = ? AND branch = ? RETURNING amount"


class SqliteCounterHolds:
    """See `coordination.counters.holding.CounterHolds`."""

    def __init__(self, counters: SqliteCounters) -> None:
        self._counters = counters

    def hold(
        self, rules: Rules, amount: int, *, branch: str, remaining_ms: Callable[[], int]
    ) -> HoldState:
        """Keep room."""
        with self._counters.transaction() as raw:
            if raw.execute(KNOWN, (rules.name, branch)).fetchone() is not None:
                return HoldState.HELD
            if remaining_ms() <= 0:
                return HoldState.LATE
            found = raw.execute(READ, (rules.name,)).fetchone()
            stands = Reading(rules.initial, 0) if found is None else Reading(*found)
            if not room(raw, rules.name).allows_adding(rules, stands.value, amount):
                raise exceeded(rules, amount, stands, store=self._counters.alias)
            raw.execute(KEEP, (rules.name, branch, amount, _now_us()))
        return HoldState.HELD

    def apply(self, rules: Rules, amount: int, *, branch: str) -> HoldState:
        """Add what was held."""
        with self._counters.transaction() as raw:
            held = raw.execute(LET_GO, (rules.name, branch)).fetchall()
            if not held:
                return HoldState.GONE
            found = raw.execute(READ, (rules.name,)).fetchone()
            before, version = (rules.initial, 0) if found is None else found
            after = before + held[0][0]
            raw.execute(WRITE, (rules.name, after, version + 1))
            who = (version + 1, _now_us(), self._counters.node, branch)
            raw.execute(
                TELL, (KINDS[Verb.ADD], rules.name, *who, before, after, json.dumps(note_of(rules)))
            )
        return HoldState.APPLIED

    def cancel(self, rules: Rules, *, branch: str) -> HoldState:
        """Let go of it."""
        with self._counters.transaction() as raw:
            raw.execute(LET_GO, (rules.name, branch)).fetchall()
        return HoldState.CANCELLED

    def forget(self, rules: Rules, *, branch: str) -> None:
        """Nothing of it is left."""

    def kept(self) -> list[Kept]:
        """Of every counter."""
        with self._counters.reading() as raw:
            return [Kept(*row) for row in raw.execute(ALL)]


def _now_us() -> int:
    return time.time_ns() // 1_000
