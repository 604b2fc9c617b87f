"""Holds of counters: room that is kept for what an undecided transaction may add.

The escrow method (O'Neil 1986). A counter is changed only so that, whichever holds are used up and
in whatever order, no bound is crossed; so a hold that was made can always be used up, and those who
add to one counter at once do not wait for each other's decision.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from coordination.counters.types import Reading, Rules
from coordination.exceptions import BoundExceeded
from coordination.kernel.holds import HoldState, Kept


class Room(NamedTuple):
    """What open transactions may yet do to a counter: both sums of their holds."""

    less: int = 0
    """Of what they may take off: 0 or below."""
    more: int = 0
    """Of what they may add: 0 or above."""

    def allows(self, rules: Rules, value: int) -> bool:
        """Whether, with `value` written, every hold could still be used up."""
        return rules.lowest <= value + self.less and value + self.more <= rules.highest

    def allows_adding(self, rules: Rules, value: int, amount: int) -> bool:
        """The same of an addition: it is measured on its own side alone."""
        least = most = value + amount
        if amount < 0:
            least += self.less
        else:
            most += self.more
        return rules.lowest <= least and most <= rules.highest


def room_of(amounts: Iterable[int]) -> Room:
    """The sums of holds."""
    known = list(amounts)
    return Room(sum(each for each in known if each < 0), sum(each for each in known if each > 0))


def exceeded(rules: Rules, amount: int, stands: Reading, *, store: str) -> BoundExceeded:
    """The error of an addition that there is no room for."""
    within = rules.lowest <= stands.value + amount <= rules.highest
    why = "with what open transactions hold of it, adding" if within else "adding"
    return BoundExceeded(
        f"Counter {rules.name!r} stands at {stands.value}: {why} {amount} would not leave it "
        f"from {rules.lowest} to {rules.highest}. Nothing was written.",
        name=rules.name,
        store=store,
        reason=f"from {rules.lowest} to {rules.highest}",
    )


class CounterHolds(Protocol):
    """Holds in the counters of one store, each named by the branch it is kept for.

    Every verb may be repeated, and raises StoreUnavailable or OutcomeUnknown.
    """

    def hold(
        self, rules: Rules, amount: int, *, branch: str, remaining_ms: Callable[[], int]
    ) -> HoldState:
        """Keep room for `amount`; nothing is kept once `remaining_ms` has come to 0, nor after a
        cancel. Raises BoundExceeded."""

    def apply(self, rules: Rules, amount: int, *, branch: str) -> HoldState:
        """Add what was held: APPLIED, once. CANCELLED or GONE: nothing was added."""

    def cancel(self, rules: Rules, *, branch: str) -> HoldState:
        """Let go of it, and of one that comes later: CANCELLED. APPLIED: it was added before."""

    def forget(self, rules: Rules, *, branch: str) -> None:
        """That it was applied is remembered elsewhere from now on."""

    def kept(self) -> list[Kept]:
        """Every hold of the store. It looks through all there is: for operators."""
