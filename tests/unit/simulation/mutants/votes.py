"""Mistakes in counting and giving votes."""

from dataclasses import replace

from coordination.transactions import machine
from coordination.transactions.machine import Row
from coordination.transactions.types import Ballot, Outcome, Vote
from tests.unit.simulation.mutants.mutant import DELAYS, NO_END, ONLY_ONE_PHASE, ONLY_TCC, Mutant


class RepeatedVoteCountedAgain(Mutant):
    """A vote that comes again stands in for a missing one."""

    breaks = ("committed without every vote",)

    def record_votes(self, row: Row, ballots: tuple[Ballot, ...]) -> Row:
        again = sum(
            row.branches[ballot.seq - 1].vote is not None and ballot.vote is not Vote.NO
            for ballot in ballots
        )
        after = machine.record_votes(row, ballots)
        if after.outcome is None and after.pending <= again:
            return replace(after, outcome=Outcome.COMMITTED)
        return after


class MajorityIsEnough(Mutant):
    """All votes but one decide."""

    breaks = ("committed without every vote",)

    def record_votes(self, row: Row, ballots: tuple[Ballot, ...]) -> Row:
        after = machine.record_votes(row, ballots)
        if after.outcome is None and after.pending == 1:
            return replace(after, outcome=Outcome.COMMITTED)
        return after


class NoVoteOverlooked(Mutant):
    """All votes in means commit, whatever they say."""

    breaks = ("committed without every vote",)

    def record_votes(self, row: Row, ballots: tuple[Ballot, ...]) -> Row:
        after = machine.record_votes(row, ballots)
        decided = row.outcome is None and after.outcome is not None and after.pending == 0
        return replace(after, outcome=Outcome.COMMITTED) if decided else after


class LastVoteCounts(Mutant):
    """A vote that comes again replaces the first."""

    breaks = ("its vote went from",)

    def record_votes(self, row: Row, ballots: tuple[Ballot, ...]) -> Row:
        after = machine.record_votes(row, ballots)
        branches = list(after.branches)
        for ballot in ballots:
            branches[ballot.seq - 1] = replace(branches[ballot.seq - 1], vote=ballot.vote)
        return replace(after, branches=tuple(branches))


class LostVoteCountedYes(Mutant):
    """A prepare whose answer was lost is voted yes."""

    casts_lost_votes = True
    breaks = ("voted yes without durable work",)


class VoteBeforePrepare(Mutant):
    """A yes is told before the work is durable."""

    prepares_before_vote = False
    breaks = ("voted yes without durable work",)


class EndingForgotten(Mutant):
    """A vote that comes after the branch was finished overwrites how it ended."""

    breaks = ("its ending went from",)

    def record_votes(self, row: Row, ballots: tuple[Ballot, ...]) -> Row:
        after = machine.record_votes(row, ballots)
        branches = list(after.branches)
        for ballot in ballots:
            if row.branches[ballot.seq - 1].vote is None:
                branch = replace(branches[ballot.seq - 1], vote=ballot.vote, actual=ballot.actual)
                branches[ballot.seq - 1] = branch
        return replace(after, branches=tuple(branches))


class TurnedAwayTakenForNo(Mutant):
    """Who meets another attempt at the branch votes it down, while that one goes on."""

    turned_away_is_no = True
    shapes = ONLY_TCC
    breaks = (NO_END, "without anybody's interference")


class OnePhaseTurnedAwayTakenForNo(TurnedAwayTakenForNo):
    """The same of a branch that commits by itself."""

    shapes = ONLY_ONE_PHASE
    breaks = ("is committed though the outcome is aborted",)


class GivesUpBlind(Mutant):
    """A branch is voted down after some attempts without a look at what they left."""

    gives_up_after = 1
    looks_before_giving_up = False
    shapes = ONLY_ONE_PHASE
    breaks = ("is committed though the outcome is aborted",)


class ReserveGivenUpBlind(GivesUpBlind):
    """The same of a reservation: nobody cancels it."""

    shapes = ONLY_TCC
    breaks = (NO_END,)


class LateReserveTakenForNo(Mutant):
    """After the deadline a branch is ended without asking whether it had reserved."""

    asks_witness_when_late = False
    shapes = ONLY_TCC
    kinds = DELAYS
    breaks = (NO_END,)


class LateOnePhaseTakenForNo(LateReserveTakenForNo):
    """The same of a branch that commits by itself."""

    shapes = ONLY_ONE_PHASE
    breaks = ("is committed though the outcome is aborted",)
