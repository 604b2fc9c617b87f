"""Mistakes about branches that commit by themselves or last."""

from coordination.transactions import engine, machine
from coordination.transactions.engine import Effect, Send
from coordination.transactions.machine import Row
from coordination.transactions.types import Ballot, Outcome, Phase, Snapshot
from coordination.verification.simulation.engine.kinds import Shape
from coordination.verification.simulation.protocols.two_phase import LAST
from tests.unit.simulation.mutants.mutant import (
    NO_END,
    ONLY_LAST,
    ONLY_ONE_PHASE,
    Mutant,
    as_if_prepared,
    without,
)


class OnePhaseAbortedByDeadline(Mutant):
    """The deadline aborts a branch that may have committed by itself."""

    shapes = ONLY_ONE_PHASE
    breaks = ("is committed though the outcome is aborted",)

    def decide(self, row: Row, outcome: Outcome) -> Row:
        return as_if_prepared(row, lambda each: machine.decide(each, outcome))


class OnePhaseAskedOnce(Mutant):
    """A branch that commits by itself is not asked again for the vote that was lost."""

    shapes = ONLY_ONE_PHASE
    breaks = (NO_END,)

    def step(self, snapshot: Snapshot) -> tuple[Effect, ...]:
        return without(engine.step(snapshot), Phase.PREPARE)


class LastAgentInAHurry(Mutant):
    """The last agent commits whatever votes are missing."""

    sends_last_early = True
    shapes = ONLY_LAST
    breaks = ("is committed though the outcome is open", "is committed though the outcome is ab")

    def record_votes(self, row: Row, ballots: tuple[Ballot, ...]) -> Row:
        return as_if_prepared(row, lambda each: machine.record_votes(each, ballots))

    def step(self, snapshot: Snapshot) -> tuple[Effect, ...]:
        missing = [branch for branch in snapshot.branches if branch.vote is None]
        if snapshot.outcome is None and not snapshot.expired:
            return tuple([Send(Phase.PREPARE, branch.seq) for branch in missing])
        return engine.step(snapshot)


class LastAgentAfterTheAbort(Mutant):
    """The last agent commits without looking at the register."""

    sends_last_early = True
    shapes = (Shape((LAST,), inline=True),)
    breaks = ("is committed though the outcome is aborted",)
    record_votes = LastAgentInAHurry.record_votes


class LastAgentInTwoCommits(Mutant):
    """The last agent's work is committed first, and its vote sent after."""

    casts_last_with_work = False
    shapes = ONLY_LAST
    breaks = ("is committed though the outcome is open", "is committed though the outcome is ab")
