"""Write-once registers of a quorum: three acceptors that keep what they promised and accepted.

The rules are those of `consensus`: `acceptor` and `proposer`. After `attempting.py`, but that a
proposer here asks one acceptor after another.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from coordination.consensus import acceptor, proposer
from coordination.consensus.acceptor import Kept
from coordination.consensus.proposer import Attempt, Phase
from coordination.consensus.types import Agreed, Ballot, Promised, Refused
from coordination.verification.simulation.events import EventKind
from coordination.verification.simulation.processes import Lost, Place, Request
from coordination.verification.simulation.scheduler import Simulation

ACCEPTORS = 3
ATTEMPTS = 4
"""Ballots of one call before it says that it does not know."""
PAUSE_US = 20_000


@dataclass(slots=True)
class Acceptor:
    """One acceptor. What it keeps is flushed before it answers."""

    place: Place
    accepted: Callable[[int, Ballot, str], None]
    kept: dict[int, Kept] = field(default_factory=dict)

    def prepare(self, key: int, ballot: Ballot) -> Promised | Refused:
        """The first phase."""
        self.kept[key], reply = acceptor.prepare(self.kept.get(key, Kept()), ballot)
        return reply

    def accept(self, key: int, ballot: Ballot, value: str) -> Agreed | Refused:
        """The second phase."""
        before = self.kept.get(key, Kept())
        self.kept[key], reply = acceptor.accept(before, ballot, value)
        if self.kept[key].accepted != before.accepted:
            self.accepted(key, ballot, value)
        return reply


class Quorum:
    """The registers of one transaction, by seq."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.acceptors = [
            Acceptor(Place(f"acceptor {number}"), self._accepted)
            for number in range(1, ACCEPTORS + 1)
        ]
        for each in self.acceptors:
            sim.places[each.place.name] = each.place
        self.chosen: dict[int, str] = {}
        self.fault: str | None = None
        self._agreed: dict[tuple[int, Ballot], int] = {}
        self._ballots = 0

    def _accepted(self, key: int, ballot: Ballot, value: str) -> None:
        """See whether a value is chosen by that, as only an onlooker of all acceptors can."""
        count = self._agreed[key, ballot] = self._agreed.get((key, ballot), 0) + 1
        if count < ACCEPTORS // 2 + 1:
            return
        self.sim.changed = True
        before = self.chosen.setdefault(key, value)
        if before != value:
            self.fault = f"register {key} held {before}, and holds {value}"
        if self.sim.tracing:
            self.sim.note(EventKind.STATE, f"register {key}", value)

    def write(
        self, key: int, wish: str | None, *, opening: str
    ) -> Generator[Request | int, Any, str | None]:
        """What the register holds; None: nothing, and nothing was wished. Raises Lost."""
        highest = 0
        for number in range(ATTEMPTS):
            if wish == opening and not number:
                attempt = proposer.begin_opening(opening, acceptors=ACCEPTORS)
            else:
                self._ballots += 1
                ballot = Ballot(highest + 1, f"{self._ballots:016d}")
                attempt = proposer.begin(ballot, acceptors=ACCEPTORS, wish=wish)
                attempt = yield from self._round(key, attempt)
            if attempt.phase is Phase.OFFERING:
                attempt = yield from self._round(key, attempt)
            if attempt.phase is Phase.LEARNED:
                return attempt.value
            if attempt.phase is Phase.EMPTY:
                return None
            highest = max(highest, attempt.highest.round)
            yield 1 + self.sim.chance.below(PAUSE_US)
        raise Lost

    def _round(self, key: int, attempt: Attempt) -> Generator[Request | int, Any, Attempt]:
        phase, begun = attempt.phase, self.sim.chance.below(ACCEPTORS)
        for number in range(ACCEPTORS):
            each = self.acceptors[(begun + number) % ACCEPTORS]
            try:
                if phase is Phase.PREPARING:
                    what, args = each.prepare, (key, attempt.ballot)
                    reply = yield (each.place, "register.prepare", what, args)
                else:
                    assert attempt.value is not None
                    offer = (key, attempt.ballot, attempt.value)
                    reply = yield (each.place, "register.accept", each.accept, offer)
            except Lost:
                continue
            attempt = proposer.step(attempt, each.place.name, reply)
            if attempt.phase is not phase:
                break
        return attempt
