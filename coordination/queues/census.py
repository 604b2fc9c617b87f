"""A queue counted: what it holds against what came and went, to the message. Pure.

Both are read in one step of the store. The totals are counters that each change adds to; what the
queue holds is counted where the messages are, so that one which vanished or came some other way is
missed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from coordination.queues.types import Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """One queue at one moment of its store's clock."""

    store: str
    queue: str
    at_us: int
    totals: Totals
    held: int
    """Messages, counted one by one."""
    placed: int
    """Those of them that stand where they will be taken or are in flight: all of them, or some
    will never come."""
    counted: bool = True
    """False: there are too many to be counted in one step; `held` is what the store says."""
    version: int = 0
    """How many events the queue has had; 0 where nobody numbers them."""

    @property
    def came(self) -> int:
        """Messages that ever came."""
        return self.totals.published + self.totals.moved_in + self.totals.redriven

    @property
    def went(self) -> int:
        """Messages that ever went."""
        totals = self.totals
        return totals.acked + totals.dead + totals.expired + totals.purged + totals.moved_out

    @property
    def missing(self) -> int:
        """How many messages came, did not go, and are not there; below 0: so many too many."""
        return self.came - self.went - self.held

    @property
    def misplaced(self) -> int:
        """How many are there, and nobody will ever be given them."""
        return self.held - self.placed

    def as_json(self) -> dict[str, Any]:
        """The sum, as JSON values."""
        totals = self.totals
        return {
            "published": totals.published,
            "moved_in": totals.moved_in,
            "redriven": totals.redriven,
            "acked": totals.acked,
            "dead": totals.dead,
            "expired": totals.expired,
            "purged": totals.purged,
            "moved_out": totals.moved_out,
            "held": self.held,
            "placed": self.placed,
            "missing": self.missing,
        }
