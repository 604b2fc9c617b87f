"""`saga`: an action that everybody sees at once, and its compensation after an abort.

A step is a `tcc` branch whose reserve is the action and whose cancel is the compensation, with the
same barrier: an action that comes after its compensation is refused. After a commit nothing is left
to do. Behind the pivot a branch of any mode has no vote: it is done, and ended, by the decision.
"""

from dataclasses import replace

from coordination.transactions.branches import barrier, tcc, xa
from coordination.transactions.branches.answer import Busy, InDoubt
from coordination.transactions.branches.body import TIMEOUT_MS_MAX, words
from coordination.transactions.branches.tcc import Call
from coordination.transactions.context import Context
from coordination.transactions.participants import Participant
from coordination.transactions.types import (
    Actual,
    Ballot,
    Form,
    Mode,
    Outcome,
    Result,
    Vote,
    Work,
)


def prepare(work: Work, participant: Participant) -> Ballot:
    """Act once and vote. Raises as `tcc.prepare`."""
    if participant.cancel is None and work.form is Form.PREPARE:
        reason = f"{participant.name} has no compensate, and is neither the pivot nor behind it"
        return Ballot(seq=work.seq, vote=Vote.NO, reason=reason)
    return tcc.prepare(work, participant)


def finish(work: Work, outcome: Outcome, participant: Participant) -> Result:
    """See that the action stands, or compensate it, once. Raises as `tcc.finish`."""
    return tcc.end(work, participant, _stand if outcome is Outcome.COMMITTED else _undo)


def forward(work: Work, participant: Participant) -> Result:
    """Do what comes behind the pivot, all of it, once.

    Raises Busy or InDoubt when it has to be tried again: also for what its body refuses.
    """
    if work.mode is Mode.XA:
        return _forward_prepared(work, participant)
    gid = work.branch_gid
    context = Context(gid=work.gid, branch=gid, after_decision=True)
    try:
        tcc.reserve(work, context, participant, limit_ms=None)
    except Busy:
        raise
    except Exception as error:
        barrier.unreachable(work.using, error)
        raise InDoubt(context.refusal or words(error)) from error
    finisher = finish if work.mode is Mode.SAGA else tcc.finish
    return finisher(work, Outcome.COMMITTED, participant)


def _forward_prepared(work: Work, participant: Participant) -> Result:
    ballot = xa.prepare(replace(work, remaining_ms=TIMEOUT_MS_MAX), participant)
    if ballot.vote is Vote.READ_ONLY:
        return Result(seq=work.seq, actual=Actual.READ_ONLY)
    if ballot.actual is Actual.HEURISTIC_COMMIT:
        # Tried again, its work would be there twice.
        return Result(seq=work.seq, actual=Actual.HEURISTIC_HAZARD, reason=ballot.reason)
    if ballot.vote is Vote.NO:
        raise InDoubt(ballot.reason)
    return xa.finish(work, Outcome.COMMITTED)


def _stand(work: Work, gid: str, call: Call, participant: Participant) -> Actual:
    return Actual.COMMITTED if tcc.reserved(work) else Actual.HEURISTIC_ROLLBACK


def _undo(work: Work, gid: str, call: Call, participant: Participant) -> Actual:
    if work.form is not Form.PREPARE and tcc.reserved(work):
        return Actual.HEURISTIC_COMMIT  # aborted by force; there is no way back behind the pivot
    return tcc.cancel(work, gid, call, participant)
