"""A transaction of one branch: its own commit decides, its witness proves it, the register follows.

Saves the prepare. The price: until the branch has answered, only its database knows the outcome,
so the register refuses to abort it and the sweeper asks here instead.
"""

from coordination.connections import database
from coordination.connections.database import Statement
from coordination.failpoints import hit
from coordination.transactions.branches import witness, xa
from coordination.transactions.branches.answer import Refusal
from coordination.transactions.branches.body import Attempt
from coordination.transactions.branches.last import COMMIT, committed_by_vote
from coordination.transactions.participants import Participant
from coordination.transactions.types import Actual, Ballot, Vote, Work


def prepare(work: Work, participant: Participant) -> Ballot:
    """Run the body and commit it, or say what an earlier attempt came to.

    Raises Busy when another attempt is at it, InDoubt when the reply to the commit was lost.
    """
    if work.remaining_ms <= 0:
        return settle(work, "the deadline passed before it could commit")
    attempt = Attempt(work, participant)
    attempt.attempt()
    if attempt.runs:
        _commit(attempt, COMMIT)
    attempt.leave()
    if attempt.kept:
        participant.tell_seen(work.args)
        return committed_by_vote(work, signed=bool(attempt.context.signatures))
    if attempt.found is not None:
        return _settled(work, attempt.found, "it was aborted already")
    ballot = xa.ballot(attempt)
    if ballot.actual is Actual.ABORTED:
        # Without the tombstone a repeated message could commit what this no has aborted.
        return settle(work, ballot.reason)
    return ballot


def settle(work: Work, reason: str) -> Ballot:
    """Say how the branch ended, and see that it stays so: what is not committed now never will be.

    Raises Busy while an attempt runs.
    """
    return _settled(work, witness.bury(work.using, work.branch_gid), reason)


def _commit(attempt: Attempt, commit: Statement) -> None:
    hit("branch.commit.before")
    replies = attempt.sealed(database.answered(attempt.seal(commit)), commit)
    if replies and replies[0].status != commit.sql:
        attempt.kept = False
        attempt.refusal = Refusal(f"COMMIT was answered by {replies[0].status}")
    hit("branch.commit.after")


def _settled(work: Work, kind: str, reason: str) -> Ballot:
    if kind == witness.COMMITTED:
        # By an attempt whose vote was lost, and which may have left signatures to be sent.
        return committed_by_vote(work, signed=True)
    return Ballot(seq=work.seq, vote=Vote.NO, actual=Actual.ABORTED, reason=reason)
