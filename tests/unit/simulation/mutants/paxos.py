"""Mistakes of Paxos commit."""

from typing import Any

from coordination.consensus.types import OPENING
from coordination.transactions.protocols import paxos
from coordination.transactions.types import Outcome
from coordination.verification.simulation.engine.answering import Steps
from coordination.verification.simulation.engine.book import BALLOTS, Cast
from coordination.verification.simulation.engine.branch import Branch, Busy
from coordination.verification.simulation.engine.coordinating import Coordinating
from coordination.verification.simulation.engine.quorum import ACCEPTORS, Quorum
from coordination.verification.simulation.processes import Lost, Process
from coordination.verification.simulation.protocols.paxos import (
    SHAPES,
    PaxosCommit,
    PaxosWorld,
    Voting,
)
from tests.unit.simulation.mutants.mutant import Mutant

DIFFERS = ("the row says", "told committed while", "told aborted while", "is committed though")


class RowBeforeRegister(Mutant):
    """Votes are recorded as they were given, whatever their registers hold."""

    class _Voting(Voting):
        def cast(self, process: Process, cast: Cast) -> Steps:
            for seq, kind in cast:
                vote = BALLOTS[kind][0].value
                yield from self.quorum.write(seq, vote, opening=paxos.YES)
            return (yield from Coordinating.cast(self, process, cast))

    breaks = DIFFERS


class AbortWithoutTheRegisters(Mutant):
    """A coordinator writes an abort into the row without closing the registers."""

    class _Voting(Voting):
        def decide(self, process: Process, outcome: Outcome) -> Steps:
            return (yield from Coordinating.decide(self, process, outcome))

    breaks = DIFFERS


class BallotOfTheOpeningForANo(Mutant):
    """A no is offered with ballot 0, as the yes of the branch is."""

    class _Quorum(Quorum):
        def write(self, key: int, wish: str | None, *, opening: str) -> Any:
            return super().write(key, wish, opening=wish or opening)

    breaks = ("register", *DIFFERS)


class BallotsReused(Mutant):
    """Two attempts have the same ballot."""

    class _Quorum(Quorum):
        def write(self, key: int, wish: str | None, *, opening: str) -> Any:
            self._ballots = 0
            return super().write(key, wish, opening=opening)

    breaks = ("register", *DIFFERS)


class AcceptorForgets(Mutant):
    """An acceptor answers before the disk has what it promised."""

    class _Quorum(Quorum):
        def __init__(self, sim: Any) -> None:
            super().__init__(sim)
            for each in self.acceptors:
                each.place.power_cut = each.kept.clear

    breaks = ("register", *DIFFERS)


class UnknownTakenForTheWish(Mutant):
    """Whoever cannot learn what a register holds goes on with what it wished for."""

    class _Quorum(Quorum):
        def write(self, key: int, wish: str | None, *, opening: str) -> Any:
            try:
                return (yield from super().write(key, wish, opening=opening))
            except Lost:
                return wish

    breaks = DIFFERS


class MissingVoteTakenForNo(Mutant):
    """Without the rows, a register without a vote is taken for a no."""

    class _Voting(Voting):
        def end_without_rows(self, branch: Branch) -> Steps:
            try:
                yield from self.end_alone(branch, Outcome.ABORTED)
            except (Busy, Lost):
                return

    breaks = ("voted yes without durable work", *DIFFERS)


class OneAcceptorIsEnough(Mutant):
    """The first acceptor that agrees decides."""

    class _Quorum(Quorum):
        def write(self, key: int, wish: str | None, *, opening: str) -> Any:
            value = opening if wish == opening else wish
            if value is None:
                return (yield from super().write(key, wish, opening=opening))
            each = self.acceptors[self.sim.chance.below(ACCEPTORS)]
            yield (each.place, "register.accept", each.accept, (key, OPENING, value))
            return value

    breaks = DIFFERS


def _planted(mutant: type[Mutant]) -> None:
    """Let its worlds have its coordinators and its quorum."""
    voting = mutant.__dict__.get("_Voting", Voting)
    quorum = mutant.__dict__.get("_Quorum")

    class _Planted(voting):  # type: ignore[misc, valid-type]
        def __init__(self, sim: Any, *args: Any, **options: Any) -> None:
            Coordinating.__init__(self, sim, *args, **options)
            self.quorum = (quorum or Quorum)(sim)

    world = type("World", (PaxosWorld,), {"coordinating": _Planted})
    mutant.adapter = type("Mutated", (PaxosCommit,), {"world": world})
    mutant.shapes = SHAPES


for _each in (
    RowBeforeRegister,
    AbortWithoutTheRegisters,
    BallotOfTheOpeningForANo,
    BallotsReused,
    AcceptorForgets,
    UnknownTakenForTheWish,
    MissingVoteTakenForNo,
    OneAcceptorIsEnough,
):
    _planted(_each)
