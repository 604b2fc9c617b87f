"""Mistakes about the outcome: how it is set, flushed and told."""

from dataclasses import replace

from coordination.transactions import engine, machine
from coordination.transactions.engine import Decide, Effect
from coordination.transactions.machine import Row
from coordination.transactions.types import Ballot, Outcome, Snapshot, Vote
from tests.unit.simulation.mutants.mutant import ONLY_XA, Mutant


class BlindWrite(Mutant):
    """The decision is written without asking whether there is one."""

    shapes = ONLY_XA
    breaks = ("the register went from",)

    def decide(self, row: Row, outcome: Outcome) -> Row:
        return replace(row, outcome=outcome)


class LateNoTurnsTheOutcome(Mutant):
    """A no that comes after the decision makes it an abort."""

    breaks = ("the register went from",)

    def record_votes(self, row: Row, ballots: tuple[Ballot, ...]) -> Row:
        after = machine.record_votes(row, ballots)
        refused = any(ballot.vote is Vote.NO for ballot in ballots)
        return replace(after, outcome=Outcome.ABORTED) if refused else after


class DecisionNotFlushed(Mutant):
    """The decision is told before the disk has it."""

    flushes_decision = False
    breaks = ("a power cut took back",)


class WishTold(Mutant):
    """A coordinator tells the outcome it asked for instead of the register's answer."""

    tells_by_register = False
    breaks = ("told aborted while", "told committed while")


class FinishByStaleWish(Mutant):
    """A coordinator ends branches by what its snapshot made it wish for."""

    finishes_by_register = False
    shapes = ONLY_XA
    breaks = (
        "recorded as ended before the decision",
        "voted yes without durable work",
        "is committed though",
    )


class ToldBeforeTheVote(Mutant):
    """The caller is told that all is well before the last vote is in the register."""

    tells_after_vote = False
    breaks = ("told committed while",)


class WaitedInVainTakenForAbort(Mutant):
    """A caller whose wait ends is told that the transaction was aborted."""

    unknown_is_aborted = True
    breaks = ("told aborted while",)


class TimeoutTakenForYes(Mutant):
    """At the deadline a missing vote is taken for a yes."""

    shapes = ONLY_XA
    breaks = ("committed without every vote",)

    def step(self, snapshot: Snapshot) -> tuple[Effect, ...]:
        refused = any(branch.vote is Vote.NO for branch in snapshot.branches)
        if snapshot.expired and snapshot.outcome is None and not refused:
            return (Decide(Outcome.COMMITTED, "nobody has said no"),)
        return engine.step(snapshot)

    def decide(self, row: Row, outcome: Outcome) -> Row:
        return row if row.outcome is not None else replace(row, outcome=outcome)
