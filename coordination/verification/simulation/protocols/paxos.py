"""Paxos commit: a register a vote, in a quorum of three acceptors, and a row that copies them."""

from dataclasses import replace
from typing import Any

from coordination.transactions.protocols import paxos
from coordination.transactions.types import Ballot, Outcome, Protocol, Vote
from coordination.verification.simulation.engine.answering import Steps
from coordination.verification.simulation.engine.book import BALLOTS, Book, Cast, Facts
from coordination.verification.simulation.engine.branch import Branch, Busy
from coordination.verification.simulation.engine.coordinating import Coordinating
from coordination.verification.simulation.engine.kinds import Shape
from coordination.verification.simulation.engine.quorum import Quorum
from coordination.verification.simulation.engine.rules import Rules
from coordination.verification.simulation.engine.world import EngineWorld
from coordination.verification.simulation.faults import FaultKind
from coordination.verification.simulation.processes import Lost, Process
from coordination.verification.simulation.protocols.two_phase import TCC, XA, TwoPhase
from coordination.verification.simulation.scheduler import Simulation

SHAPES = (Shape((XA, XA)), Shape((XA, TCC)), Shape((XA, XA, XA)), Shape((TCC, TCC)))
KINDS = {ballot: kind for kind, ballot in BALLOTS.items()}
GIVE_UP_US = 15_000_000
"""Age of a branch at which its missing votes are given up without the rows."""


class Voting(Coordinating):
    """Votes last in their registers before the row has them: after `registers/`."""

    def __init__(self, sim: Simulation, *args: Any, **options: Any) -> None:
        super().__init__(sim, *args, **options)
        self.quorum = Quorum(sim)

    def cast(self, process: Process, cast: Cast) -> Steps:
        """Let the registers hold the votes, then record what they hold."""
        held: list[tuple[int, str]] = []
        for seq, kind in cast:
            vote, actual = BALLOTS[kind]
            value = yield from self.quorum.write(seq, vote.value, opening=paxos.YES)
            assert value is not None
            counted = paxos.counted(Ballot(seq=seq, vote=vote, actual=actual), value)
            held.append((seq, KINDS[counted.vote, counted.actual]))
        return (yield from super().cast(process, tuple(held)))

    def decide(self, process: Process, outcome: Outcome) -> Steps:
        """Write no where a vote is missing; one that is there since may win."""
        view = yield from self.asked("tx.snapshot", self.rows.snapshot)
        if view is None:
            return None
        if view.facts.outcome is not None or outcome is Outcome.COMMITTED:
            return (yield from super().decide(process, outcome))
        missing = [seq for seq, vote in enumerate(view.facts.votes, 1) if vote is None]
        held: list[tuple[int, str]] = []
        for seq in missing:
            value = yield from self.quorum.write(seq, paxos.NO, opening=paxos.YES)
            assert value is not None
            found = paxos.found(seq, value, "")
            held.append((seq, KINDS[found.vote, found.actual]))
        standing = yield from self.asked("branch.vote", self.rows.vote, tuple(held))
        self._told(process, standing)
        return standing

    def end_without_rows(self, branch: Branch) -> Steps:
        """By the registers alone."""
        old = branch.is_left_prepared(GIVE_UP_US)
        held: list[str | None] = []
        try:
            for other in self.branches:
                wish = paxos.NO if old else None
                held.append((yield from self.quorum.write(other.seq, wish, opening=paxos.YES)))
            outcome = paxos.outcome(held)
            if outcome is not None:
                yield from self.end_alone(branch, outcome)
        except (Busy, Lost):
            return


class PaxosBook(Book):
    """A row that is a copy."""

    is_register = False


class PaxosWorld(EngineWorld):
    """One transaction whose votes decide by themselves."""

    coordinating = Voting

    @property
    def doing(self) -> Voting:
        """Its coordinators."""
        doing = self.caller.doing
        assert isinstance(doing, Voting)
        return doing

    def broken(self) -> str | None:
        """The first promise that does not hold now."""
        return self.doing.quorum.fault or super().broken()

    def outcome(self) -> Outcome | None:
        """What the registers make of it."""
        return paxos.outcome(self.elsewhere())

    def elsewhere(self) -> Any:
        """What the registers hold."""
        return tuple([self.doing.quorum.chosen.get(branch.seq) for branch in self.branches])

    def look(self, facts: Facts | None) -> str | None:
        """Rows may be behind the registers, and may not differ from them."""
        held = self.elsewhere()
        outcome = paxos.outcome(held)
        if facts is None:
            return super().look(None)
        if facts.outcome is not None and facts.outcome is not outcome:
            return f"the row says {facts.outcome}, and the registers {outcome or 'nothing'}"
        votes = tuple([None if one is None else Vote(one) for one in held])
        return super().look(replace(facts, outcome=outcome, votes=votes))


class PaxosCommit(TwoPhase):
    """Adapter of `paxos`."""

    name = "paxos"
    protocol = Protocol.PAXOS
    book = PaxosBook
    world = PaxosWorld

    def __init__(
        self,
        kinds: tuple[FaultKind, ...] | None = None,
        *,
        rules: Rules | None = None,
        shapes: tuple[Shape, ...] = SHAPES,
    ) -> None:
        super().__init__(kinds, rules=rules, shapes=shapes)
