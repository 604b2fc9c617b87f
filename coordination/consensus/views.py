"""By which view this process goes: asked of the acceptors once, and again when one knows a later.

Nothing unsafe comes of an old view: each acceptor refuses what goes by another than its own.
"""

import time
from collections.abc import Sequence

from coordination.consensus.asking import Asked, reasons
from coordination.consensus.store import Acceptor
from coordination.consensus.types import Seat, View
from coordination.exceptions import CoordinationError, StoreUnavailable

GRACE_S = 0.05
"""How long a view that was heard of is listened for, once a majority goes by an earlier one."""


class Views:
    """The view of one quorum."""

    def __init__(self, acceptors: Sequence[Acceptor]) -> None:
        self._acceptors = tuple(acceptors)
        self._view: View | None = None
        self._later = 0
        """The version of the latest view that was heard of."""

    def current(self, *, until: float) -> View:
        """The view to go by. Raises StoreUnavailable when no acceptor knows one."""
        view = self._view
        return self._learn(until) if view is None else view

    def refreshed(self, *, until: float) -> View:
        """The view as the acceptors know it now. Raises StoreUnavailable."""
        return self._learn(until)

    def use(self, view: View) -> None:
        """Go by this view, which a majority has."""
        self._view = view

    def forget(self, view: View, *, later: int = 0) -> None:
        """Ask anew: this view has misled, or an acceptor goes by one of a later version."""
        self._later = max(self._later, later)
        # No mutex, which another thread could hold in the moment of a fork. What a race costs is
        # to ask once more.
        if self._view is view:
            self._view = None

    def _learn(self, until: float) -> View:
        found: View | None = None
        faults: dict[str, str] = {}
        answers, self._later = 0, max(1, self._later)
        asked = Asked(self._acceptors, _seat, until=until)
        for answer in asked:
            if isinstance(answer.said, CoordinationError):
                faults[answer.alias] = str(answer.said)
                continue
            answers += 1
            view = answer.said.view
            if view is None:
                faults[answer.alias] = "it has no incarnation"
            elif found is None or view.version > found.version:
                found = view
            if found is not None and answers >= found.majority:
                if found.version >= self._later:
                    break
                # Whoever knows the later one may be frozen, and the others still decide.
                asked.until = min(asked.until, time.monotonic() + GRACE_S)
        if found is None or found.version == 0:
            self._refuse(faults, founding=found is not None)
        assert found is not None
        self._require_same_members(found)
        self._view = found
        return found

    def _refuse(self, faults: dict[str, str], *, founding: bool) -> None:
        if founding:
            why = "their founding was not finished: run manage.py concord acceptors --found again"
        elif len(faults) == len(self._acceptors) and all(
            "no inc" in why for why in faults.values()
        ):
            why = "they were never founded: run manage.py concord acceptors --found"
        else:
            why = reasons(faults)
        raise StoreUnavailable(f"The acceptors cannot decide: {why}.", reason=why)

    def _require_same_members(self, view: View) -> None:
        here = sorted(acceptor.alias for acceptor in self._acceptors)
        there = sorted(member.alias for member in view.members)
        if here != there:
            # With other members a majority here and a majority there need not meet.
            raise StoreUnavailable(
                f"The acceptors were founded as {', '.join(there)}; COORDINATION['CONSENSUS'] "
                f"names {', '.join(here)}.",
                reason="other members",
            )


def _seat(acceptor: Acceptor, deadline_ms: int) -> Seat:
    return acceptor.seat(deadline_ms=deadline_ms)
