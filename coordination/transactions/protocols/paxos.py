"""Paxos commit (Gray and Lamport, "Consensus on Transaction Commit", 2006): a register a vote.

Each branch has a write-once register in the quorum, and the votes in these registers are the
outcome: committed if every one is yes, aborted if one is no. Nobody decides, so nobody is waited
for. To abort, somebody writes no where there is no vote yet; a vote that was there before stands.
The coordinator's row only copies what the registers hold.
"""

from collections.abc import Iterable
from dataclasses import replace

from coordination.transactions.protocols import two_phase
from coordination.transactions.types import Actual, Ballot, Outcome, Vote

decision = two_phase.decision
"""An abort that it asks for is asked of the registers of the votes that are missing."""
to_prepare = two_phase.to_prepare
to_finish = two_phase.to_finish

YES, READ_ONLY, NO = Vote.YES.value, Vote.READ_ONLY.value, Vote.NO.value
"""What a register holds. Only a yes is written in one round trip, so what only read takes two."""


def outcome(held: Iterable[str | None]) -> Outcome | None:
    """What the registers of all branches make of the transaction; None: a vote is missing."""
    votes = set(held)
    if NO in votes:
        return Outcome.ABORTED
    return None if None in votes else Outcome.COMMITTED


def counted(ballot: Ballot, held: str) -> Ballot:
    """The vote of an attempt as its register has it."""
    if held == ballot.vote or (held == READ_ONLY and ballot.vote is Vote.YES):
        # An earlier attempt had only read; what this one has prepared counts as well.
        return ballot
    if held == NO and ballot.vote is Vote.YES:
        # Somebody gave up on it. What it has prepared is rolled back by the outcome.
        reason = "its vote came after its register had been closed"
        return replace(ballot, vote=Vote.NO, actual=None, reason=reason)
    return found(ballot.seq, held, ballot.reason)


def found(seq: int, held: str, reason: str) -> Ballot:
    """The vote of a branch of which no more is known than its register."""
    if held == READ_ONLY:
        return Ballot(seq=seq, vote=Vote.READ_ONLY, actual=Actual.READ_ONLY)
    if held == NO:
        return Ballot(seq=seq, vote=Vote.NO, reason=reason)
    # Voted by an attempt that may have left something to be sent after the commit.
    return Ballot(seq=seq, vote=Vote.YES, after_commit=True)
