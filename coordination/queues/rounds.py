"""Which queues are looked at next, so that looking costs a store little. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

BUSY_S: Final = 1.0
"""How often a queue is looked at in which something happens."""
IDLE_S: Final = 10.0
"""How often one in which nothing does."""
SHARE: Final = 0.05
"""Of the time, how much is spent on one queue at most: a million messages take long to count."""


@dataclass(slots=True)
class _Turn:
    due: float = 0.0
    seen: object = None


class Rounds:
    """When each of many queues was looked at, by a monotonic clock in seconds."""

    def __init__(self, *, busy_s: float = BUSY_S, idle_s: float = IDLE_S) -> None:
        """Look every `busy_s`, or every `idle_s` where nothing changes."""
        self._busy_s, self._idle_s = busy_s, idle_s
        self._turns: dict[str, _Turn] = {}

    def due(self, keys: Iterable[str], now: float, *, most: int) -> list[str]:
        """Up to `most` of `keys`, those that have waited longest first; others are forgotten."""
        known = self._turns
        self._turns = {key: known.get(key) or _Turn() for key in keys}
        waiting = [(turn.due, key) for key, turn in self._turns.items() if turn.due <= now]
        return [key for _, key in sorted(waiting)[:most]]

    def looked(self, key: str, now: float, *, took_s: float, seen: object) -> None:
        """It was looked at, which took so long; `seen` is another value when something changed."""
        turn = self._turns.setdefault(key, _Turn())
        pause_s = self._idle_s if turn.seen == seen else self._busy_s
        turn.seen = seen
        # A little early, so that a loop of the same pace does not miss every other turn.
        turn.due = now + max(pause_s * 0.9, took_s / SHARE)
