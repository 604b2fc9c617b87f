"""Known ways to get it wrong, one class each. The check must find a counterexample to every one."""

from dataclasses import replace
from typing import ClassVar

from coordination.transactions import engine, machine
from coordination.transactions.engine import Effect
from coordination.transactions.machine import Local, Row
from coordination.transactions.types import Ballot, Form, Outcome, Snapshot, Vote
from tests.unit.modelcheck.rules import Rules
from tests.unit.modelcheck.world import Bounds, Kind

TWO_XA = Bounds(kinds=(Kind.XA, Kind.XA))
TWO_TCC = Bounds(kinds=(Kind.TCC, Kind.TCC))
ONE_PHASE = Bounds(kinds=(Kind.ONE_PHASE,))
CALLER_TCC = Bounds(kinds=(Kind.TCC, Kind.TCC), handlers=1, inline=True)


class Mutant(Rules):
    """A mistake: within which bounds it shows, and a word of what it breaks."""

    bounds: ClassVar[Bounds] = TWO_XA
    breaks: ClassVar[str]


class BlindWrite(Mutant):
    """The decision is written without asking whether there is one."""

    frozen = False
    breaks = "the register went from"

    def decide(self, row: Row, outcome: Outcome) -> Row:
        return replace(row, outcome=outcome)


class VoteBeforePrepare(Mutant):
    """A yes is told before the work is durable."""

    prepares_before_vote = False
    breaks = "voted yes without durable work"


class PresumedAbort(Mutant):
    """A prepared participant that waits too long takes silence for an abort."""

    waits_for_register = False
    breaks = "voted yes without durable work"


class CommitByMajority(Mutant):
    """A repeated vote is counted again, so that it stands in for a missing one."""

    breaks = "committed without every vote"

    def record_votes(self, row: Row, ballots: tuple[Ballot, ...]) -> Row:
        again = sum(
            row.branches[ballot.seq - 1].vote is not None and ballot.vote is not Vote.NO
            for ballot in ballots
        )
        after = machine.record_votes(row, ballots)
        if after.outcome is None and after.pending <= again:
            return replace(after, outcome=Outcome.COMMITTED)
        return after


class NoVoteOverlooked(Mutant):
    """All votes in means commit, whatever they say."""

    breaks = "committed without every vote"

    def record_votes(self, row: Row, ballots: tuple[Ballot, ...]) -> Row:
        after = machine.record_votes(row, ballots)
        decided = row.outcome is None and after.outcome is not None and after.pending == 0
        return replace(after, outcome=Outcome.COMMITTED) if decided else after


class NoTombstone(Mutant):
    """An abort leaves no trace, so a late message does the work again."""

    buries = False
    breaks = "its body ran after the tombstone"


class WishTakenForTruth(Mutant):
    """A coordinator tells the outcome it asked for instead of the register's answer."""

    reads_register_back = False
    frozen = False
    breaks = "voted yes without durable work"


class ToldBeforeTheVote(Mutant):
    """The caller is told that all is well before the last vote is in the register."""

    tells_after_vote = False
    breaks = "told committed while the register says nothing"


class BodyRunsAgain(Mutant):
    """The witness of committed work is not read before the body runs."""

    breaks = "its work was applied"

    def prepare(self, local: Local, body: Vote, kind: Kind) -> tuple[Local, Vote]:
        return super().prepare(Local.IDLE if local is Local.COMMITTED else local, body, kind)


class EndingForgotten(Mutant):
    """A vote that comes after the branch was finished overwrites how it ended."""

    breaks = "its ending went from aborted"

    def record_votes(self, row: Row, ballots: tuple[Ballot, ...]) -> Row:
        late = [b for b in ballots if row.branches[b.seq - 1].vote is None]
        branches = list(machine.record_votes(row, ballots).branches)
        for ballot in late:
            branch = branches[ballot.seq - 1]
            branches[ballot.seq - 1] = replace(branch, vote=ballot.vote, actual=ballot.actual)
        return replace(machine.record_votes(row, ballots), branches=tuple(branches))


class NoOrphanSweep(Mutant):
    """What a duplicate leaves prepared after its branch was finished stays so."""

    orphan_sweep = False
    breaks = "no end, though faults have stopped"


class FinishSentOnce(Mutant):
    """The sweeper asks for votes again, but never for a finish."""

    breaks = "no end, though faults have stopped"

    def step(self, snapshot: Snapshot) -> tuple[Effect, ...]:
        return () if snapshot.outcome is not None else engine.step(snapshot)


class AckBeforeFinish(Mutant):
    """The ending is recorded first and done after."""

    bounds = TWO_TCC
    finishes_before_ack = False
    breaks = "no end, though faults have stopped"


class OnePhaseAbortedByDeadline(Mutant):
    """The deadline aborts a branch that may have committed by itself."""

    bounds = ONE_PHASE
    breaks = "a branch is committed though the outcome is aborted"

    def decide(self, row: Row, outcome: Outcome) -> Row:
        asked = tuple(replace(branch, form=Form.PREPARE) for branch in row.branches)
        decided = machine.decide(replace(row, branches=asked), outcome)
        return replace(decided, branches=row.branches)


class LastAgentInAHurry(Mutant):
    """The last agent runs at once and commits whatever votes are missing."""

    bounds = Bounds(kinds=(Kind.XA, Kind.LAST))
    sends_last_early = True
    breaks = "a branch is committed though the outcome is open"

    def record_votes(self, row: Row, ballots: tuple[Ballot, ...]) -> Row:
        forms = [branch.form for branch in row.branches]
        open_ = tuple(replace(branch, form=Form.PREPARE) for branch in row.branches)
        after = machine.record_votes(replace(row, branches=open_), ballots)
        pairs = zip(after.branches, forms, strict=True)
        return replace(after, branches=tuple(replace(b, form=form) for b, form in pairs))


class LastAgentAfterTheAbort(Mutant):
    """The last agent commits without looking at the register."""

    bounds = Bounds(kinds=(Kind.LAST,))
    sends_last_early = True
    breaks = "a branch is committed though the outcome is aborted"
    record_votes = LastAgentInAHurry.record_votes


class OnePhaseNoWithoutTombstone(Mutant):
    """A refusal ends a one-phase branch while a duplicate may still commit it."""

    bounds = ONE_PHASE
    buries_before_no = False
    breaks = "a branch is committed though the outcome is aborted"


class OnePhaseGivesUpBlind(Mutant):
    """After too many attempts a one-phase branch is voted down without a look at its witness."""

    bounds = ONE_PHASE
    looks_before_no = False
    breaks = "a branch is committed though the outcome is aborted"


class OnePhaseVotedByAStranger(Mutant):
    """A worker that does not know the participant votes no for what another has committed."""

    bounds = ONE_PHASE
    knows_participant = False
    breaks = "a branch is committed though the outcome is aborted"


class ReserveNoWithoutBarrier(Mutant):
    """A refusal ends a tcc branch while a duplicate may still reserve, for nobody to cancel."""

    bounds = TWO_TCC
    buries_before_no = False
    breaks = "no end, though faults have stopped"


class ReserveVotedByAStranger(Mutant):
    """A worker that does not know the participant ends a branch that another has reserved."""

    bounds = TWO_TCC
    knows_participant = False
    breaks = "no end, though faults have stopped"


class ReserveEndedUnrun(Mutant):
    """The caller ends branches it did not run, though a worker may have reserved them."""

    bounds = CALLER_TCC
    ends_unrun = False
    breaks = "no end, though faults have stopped"


MUTANTS: tuple[type[Mutant], ...] = tuple(Mutant.__subclasses__())
