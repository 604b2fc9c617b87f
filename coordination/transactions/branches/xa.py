"""`xa`: the body's database transaction is prepared by PostgreSQL and finished by the decision.

Source: PostgreSQL manual, PREPARE TRANSACTION and COMMIT PREPARED. What the manual leaves to us:
PREPARE in a failed transaction answers ROLLBACK without an error, so its tag is checked; and an
absent prepared transaction proves nothing, so the witness row is asked how it ended.
"""

import re

from coordination.connections import database
from coordination.connections.database import (
    NOT_IN_PREREQUISITE_STATE,
    UNDEFINED_OBJECT,
    UNREACHABLE,
    Exchange,
    Statement,
    StatementRefused,
)
from coordination.failpoints import hit
from coordination.transactions.branches import witness
from coordination.transactions.branches.answer import Busy, InDoubt, Refusal
from coordination.transactions.branches.body import PREPARED, Attempt
from coordination.transactions.participants import Participant
from coordination.transactions.types import Actual, Ballot, Outcome, Result, Vote, Work

PREPARED_TAG = "PREPARE TRANSACTION"
LITERAL = re.compile(r"cc:[a-z0-9-]{1,64}:[0-9]{1,5}(?::[0-9]{1,5}:[0-9]{1,7})?")


def prepare(work: Work, participant: Participant) -> Ballot:
    """Run the body, prepare it, and vote. Safe to repeat: what is durable answers for the body.

    Raises Busy when another attempt is at it, InDoubt when a reply was lost.
    """
    if work.remaining_ms <= 0:
        return too_late(work)
    attempt = Attempt(work, participant)
    attempt.attempt()
    if attempt.runs:
        sealed(attempt, database.answered(seal(attempt)))
    attempt.leave()
    return ballot(attempt)


def seal(attempt: Attempt) -> Exchange:
    """Send witness and PREPARE in one round trip."""
    hit("branch.prepare.before")
    return attempt.seal(_prepare_statement(attempt))


def sealed(attempt: Attempt, sealing: Exchange) -> None:
    """Take the answer to `seal`."""
    replies = attempt.sealed(sealing, _prepare_statement(attempt))
    if replies and replies[0].status != PREPARED_TAG:
        # PostgreSQL turns PREPARE of a failed transaction into ROLLBACK and calls that success.
        attempt.kept = False
        attempt.refusal = Refusal(f"PREPARE TRANSACTION was answered by {replies[0].status}")
    if attempt.kept:
        hit("branch.prepare.after")


def _prepare_statement(attempt: Attempt) -> Statement:
    return Statement(f"PREPARE TRANSACTION {literal(attempt.branch_gid)}")


def ballot(attempt: Attempt) -> Ballot:
    """The vote of an attempt that has been left. Raises its trouble, Busy or InDoubt."""
    if attempt.trouble is not None:
        raise attempt.trouble
    if attempt.found is not None:
        return found(attempt.work, attempt.found)
    if attempt.refusal is not None:
        return refused(attempt.work, attempt.refusal)
    if not attempt.wrote:
        return Ballot(seq=attempt.work.seq, vote=Vote.READ_ONLY, actual=Actual.READ_ONLY)
    signed = bool(attempt.context.signatures)
    return Ballot(seq=attempt.work.seq, vote=Vote.YES, after_commit=signed)


def refused(work: Work, refusal: Refusal) -> Ballot:
    """The vote of a branch whose work was rolled back, or which got away from us."""
    actual = Actual.HEURISTIC_COMMIT if refusal.committed_by_itself else Actual.ABORTED
    return Ballot(seq=work.seq, vote=Vote.NO, actual=actual, reason=refusal.reason)


def found(work: Work, kind: str) -> Ballot:
    """The vote of a branch for which an earlier attempt answers."""
    if kind == witness.TOMBSTONE:
        return Ballot(
            seq=work.seq, vote=Vote.NO, actual=Actual.ABORTED, reason="it was aborted already"
        )
    # Prepared or committed by an earlier attempt whose vote was lost; it may have left signatures.
    return Ballot(seq=work.seq, vote=Vote.YES, after_commit=True)


def too_late(work: Work) -> Ballot:
    """The vote after the deadline: what is prepared already still counts."""
    if witness.is_prepared(work.using, work.branch_gid):
        return found(work, PREPARED)
    return Ballot(seq=work.seq, vote=Vote.NO, reason="the deadline had passed before it could run")


def finish(work: Work, outcome: Outcome) -> Result:
    """Commit or roll back the prepared work; if it is gone, let the witness say how it ended.

    Raises InDoubt or Busy when that cannot be known yet.
    """
    ending = start_finish(work, outcome)
    database.wait(ending)
    return finished(work, outcome, ending)


def start_finish(work: Work, outcome: Outcome) -> Exchange:
    """Send the end of a prepared branch without waiting for it."""
    verb = "COMMIT" if outcome is Outcome.COMMITTED else "ROLLBACK"
    prepared = literal(work.branch_gid)
    return database.start(work.using, Statement(f"{verb} PREPARED {prepared}"))


def finished(work: Work, outcome: Outcome, ending: Exchange) -> Result:
    """Take the answer to `start_finish`. Raises as `finish` does."""
    gid = work.branch_gid
    try:
        ending.replies()
    except StatementRefused as error:
        if error.sqlstate == NOT_IN_PREREQUISITE_STATE:
            raise Busy(gid) from error
        if error.sqlstate != UNDEFINED_OBJECT:
            raise InDoubt(str(error)) from error
        return _by_witness(work, gid, outcome)
    except UNREACHABLE as error:
        raise InDoubt(str(error)) from error
    if outcome is Outcome.ABORTED:
        # Without it a late message could prepare the branch again after everybody has left.
        witness.bury(work.using, gid)
    return Result(seq=work.seq, actual=Actual(outcome.value))


def _by_witness(work: Work, gid: str, outcome: Outcome) -> Result:
    if outcome is Outcome.COMMITTED:
        kind = witness.read(work.using, gid)
        if kind == witness.COMMITTED:
            return Result(seq=work.seq, actual=Actual.COMMITTED)
        return Result(
            seq=work.seq,
            actual=Actual.HEURISTIC_ROLLBACK,
            reason="its prepared transaction is gone and left no witness: somebody rolled it back",
        )
    if witness.bury(work.using, gid) == witness.TOMBSTONE:
        return Result(seq=work.seq, actual=Actual.ABORTED)
    return Result(
        seq=work.seq,
        actual=Actual.HEURISTIC_COMMIT,
        reason="its witness is visible: somebody committed its prepared transaction",
    )


def literal(gid: str) -> str:
    """The gid as an SQL literal. The utility commands take no parameters."""
    if LITERAL.fullmatch(gid) is None:
        raise ValueError(f"not a branch gid: {gid!r}")
    return f"'{gid}'"
