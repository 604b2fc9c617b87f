"""What a store of counters does. Every change is one atomic step, and safe to repeat by its id."""

from collections.abc import Sequence
from typing import Protocol

from coordination.counters.types import Answer, Change, Past, Reading, Rules
from coordination.exceptions import CoordinationError


class Cell(Protocol):
    """One counter in its store.

    Every verb raises StoreUnavailable (not applied) or OutcomeUnknown within the store's deadline.
    Each change that writes leaves an event in the same step; one that does not leaves none.
    """

    def read(self) -> Reading:
        """As it stands; of a counter in several rows their sum, all of one moment."""

    def change(self, change: Change) -> Answer:
        """Apply it; or the answer that the first call with its id got."""

    def change_many(self, changes: Sequence[Change]) -> list[Answer | CoordinationError]:
        """Apply several, each by itself and in this order, in one round trip where there is one.

        An error stands in the place of one that the store refused.
        """

    def history(self, limit: int) -> list[Past]:
        """The last changes that the store still knows, the newest first."""


class CounterStore(Protocol):
    """Counters of one store alias."""

    alias: str
    deadline_ms: int
    """How long a call may take."""

    def cell(self, rules: Rules) -> Cell:
        """One counter; nothing is sent."""
