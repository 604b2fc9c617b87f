"""The bank's panel on the dashboard's overview: the conserved total and what explains a gap.

While transactions run, the two databases are read at two moments, so their sum may be off by what
is in flight; that is shown as such and not as a violation. A total that has not been seen whole
for a while asks for attention: only `settled_total`, with the load stopped, can tell a loss.
"""

import time
from collections.abc import Callable
from typing import Any

from django.db import connections

from examples.bank.homes import ALIASES
from examples.bank.money import in_units
from examples.bank.totals import Total, count_prepared, total

WHOLE_WITHIN_S = 60.0


class TotalPanel:
    """Reads the total for each refresh and remembers when it was last seen whole."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._whole_at: float | None = None

    def rows(self) -> list[dict[str, Any]]:
        """The panel's rows, as `dashboard.panels` asks for them."""
        try:
            prepared = sum(count_prepared(alias) for alias in ALIASES)
            return self.describe(total(), prepared=prepared)
        finally:
            for alias in ALIASES:
                connections[alias].close_if_unusable_or_obsolete()

    def describe(self, now: Total, *, prepared: int) -> list[dict[str, Any]]:
        """The rows for one reading, which found `prepared` branches under way."""
        state = self._judge(now)
        in_flight = in_units(now.in_flight) if now.in_flight else "nothing"
        branches = "branch" if prepared == 1 else "branches"
        return [
            {
                "label": "Total of both databases",
                "value": f"{in_units(now.cents)} of {in_units(now.expected)}",
                "state": state,
            },
            {
                "label": "In flight: applied in one database only, or between the two reads",
                "value": f"{in_flight}, {prepared} prepared {branches}",
                "state": "busy" if now.in_flight or prepared else "idle",
            },
            *(
                {
                    "label": part.alias,
                    "value": f"{in_units(part.cents)} in {part.accounts} accounts and cash",
                    "state": "idle",
                }
                for part in now.sums
            ),
        ]

    def _judge(self, now: Total) -> str:
        moment = self._monotonic()
        if now.expected == 0:
            return "unknown"
        if now.conserved:
            self._whole_at = moment
            return "ok"
        if self._whole_at is None:
            self._whole_at = moment
        return "busy" if moment - self._whole_at <= WHOLE_WITHIN_S else "wait"
