"""`tcc`: reserve, then confirm or cancel, each in one local transaction with its barrier row.

The barrier makes each step happen at most once and settles the races of messages: a cancel that
overtakes its reserve puts the reserve's row there itself, so the late reserve does nothing.

A participant that works `elsewhere`, in a store that shares no transaction with the barrier, may
have reserved though its barrier was undone. So it is told of every cancel, and makes its own steps
safe to repeat and to come late.
Source: the sub-transaction barrier of dtm (Ye Dongfu, 2021), with the row checked before the body.
"""

import json
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, InterfaceError, transaction

from coordination.connections import database
from coordination.failpoints import hit
from coordination.transactions.branches import barrier
from coordination.transactions.branches.answer import Busy, EndedOtherwise, InDoubt
from coordination.transactions.branches.barrier import CANCEL, CONFIRM, TRY
from coordination.transactions.branches.body import Unusable, words
from coordination.transactions.context import Context, VotedNo
from coordination.transactions.participants import Participant
from coordination.transactions.types import Actual, Ballot, Form, Outcome, Result, Vote, Work


def prepare(work: Work, participant: Participant) -> Ballot:
    """Reserve once and vote; a repeated message gets the first answer.

    Raises Busy when another attempt is at it, InDoubt when the reply to the commit was lost.
    """
    gid = work.branch_gid
    if database.in_transaction(work.using):
        reason = f"{work.using} is inside atomic() or has autocommit off"
        if work.form is Form.PIVOT:
            raise InDoubt(reason)  # another attempt may have acted, and cannot be seen from here
        return Ballot(seq=work.seq, vote=Vote.NO, reason=reason)
    if work.remaining_ms <= 0:
        reason = "the deadline had passed before it could run"
        if work.form is Form.PIVOT:
            return give_up(work, reason, participant)
        return Ballot(seq=work.seq, vote=Vote.NO, reason=reason)
    context = Context(gid=work.gid, branch=gid, remaining_ms=work.remaining_ms)
    try:
        if not reserve(work, context, participant, limit_ms=work.remaining_ms):
            return _repeated(work, gid, participant)
    except Busy:
        raise
    except Exception as error:
        if barrier.unreachable(work.using, error):
            raise InDoubt(str(error)) from error
        return _failed(work, gid, context.refusal or words(error), participant)
    hit("branch.prepare.after")
    return Ballot(seq=work.seq, vote=Vote.YES, after_commit=bool(context.signatures))


def reserve(
    work: Work, context: Context, participant: Participant, *, limit_ms: int | None
) -> bool:
    """Run the body with its barrier, in `limit_ms` if there is one; False: the barrier stood.

    Raises what the body raises, VotedNo or Unusable when its work may not be kept, Busy when
    another attempt is at it. Nothing is left then.
    """
    gid = context.branch
    with transaction.atomic(using=work.using, durable=True):
        lock_ms = barrier.FINISH_LOCK_MS if limit_ms is None else limit_ms
        barrier.take(work.using, gid, lock_ms=lock_ms, statement_ms=limit_ms)
        if not barrier.put(work.using, gid, TRY, TRY):
            return False
        hit("branch.prepare.before")
        participant.body(context, **work.args)
        if context.refusal is not None:
            raise VotedNo(context.refusal)
        if context.remaining == 0:
            raise Unusable("its body returned after the deadline")
        barrier.require_kept(work.using, gid, TRY)
        if context.signatures:
            kept = json.dumps(context.signatures)
            barrier.execute(work.using, barrier.KEEP_SIGNATURES, kept, gid)
    return True


def reserved(work: Work) -> bool:
    """Whether its work is there and was not undone."""
    row = barrier.one(work.using, barrier.RESERVED, work.branch_gid)
    return row is not None and row[0] == TRY


def give_up(work: Work, reason: str, participant: Participant | None) -> Ballot:
    """Vote no and see that it stays so, unless the branch is reserved by now.

    `participant`: None where this process does not know it. Raises Busy while an attempt runs,
    InDoubt when nothing could be learned.
    """
    gid = work.branch_gid
    if _refuse_late_reserve(work.using, gid):
        return _no(work, reason, participant)
    return _repeated(work, gid, participant)


def _refuse_late_reserve(using: str, gid: str) -> bool:
    """Put the cancel's row where a reserve would put its own; False when the reserve was first."""
    try:
        with transaction.atomic(using=using, durable=True):
            barrier.take(using, gid, lock_ms=barrier.FINISH_LOCK_MS)
            return barrier.put(using, gid, TRY, CANCEL)
    except (DatabaseError, InterfaceError) as error:
        barrier.unreachable(using, error)
        raise InDoubt(str(error)) from error


Call = Callable[[Callable[..., Any]], Any]
Step = Callable[[Work, str, Call, Participant], Actual]


def finish(work: Work, outcome: Outcome, participant: Participant) -> Result:
    """Confirm or cancel once. Raises Busy or InDoubt when it has to be tried again."""
    return end(work, participant, _confirm if outcome is Outcome.COMMITTED else cancel)


def end(work: Work, participant: Participant, step: Step) -> Result:
    """Take a last step in a transaction of its own. Raises as `finish` does."""
    gid = work.branch_gid
    context = Context(gid=work.gid, branch=gid)
    try:
        with transaction.atomic(using=work.using, durable=True):
            barrier.take(work.using, gid, lock_ms=barrier.FINISH_LOCK_MS)
            actual = step(work, gid, lambda method: method(context, **work.args), participant)
        if actual is Actual.COMMITTED and participant.ended is not None:
            hit("branch.ended.before")
            # Before the end is recorded, so that somebody calls it whoever dies here.
            participant.ended(context, **work.args)
    except Busy:
        raise
    except EndedOtherwise as error:
        return _contradicted(work, gid, error)
    except Exception as error:
        barrier.unreachable(work.using, error)
        raise InDoubt(f"{type(error).__name__}: {error}") from error
    return Result(seq=work.seq, actual=actual, reason=_finding(actual))


def _contradicted(work: Work, gid: str, told: EndedOtherwise) -> Result:
    """What a store says otherwise, unless the barrier of a confirm is durable.

    Then this process was stopped in the middle of its own for so long that another one has ended
    the branch, and the store has forgotten it by now.
    """
    try:
        confirmed = barrier.one(work.using, barrier.REASON, gid, CONFIRM) is not None
    except (DatabaseError, InterfaceError) as error:
        barrier.unreachable(work.using, error)
        raise InDoubt(str(error)) from error
    if confirmed and told.actual is Actual.HEURISTIC_ROLLBACK:
        return Result(seq=work.seq, actual=Actual.COMMITTED)
    return Result(seq=work.seq, actual=told.actual, reason=str(told))


def _confirm(work: Work, gid: str, call: Call, participant: Participant) -> Actual:
    row = barrier.one(work.using, barrier.RESERVED, gid)
    if row is None or row[0] != TRY:
        return Actual.HEURISTIC_ROLLBACK
    if barrier.put(work.using, gid, CONFIRM, CONFIRM):
        assert participant.confirm is not None
        call(participant.confirm)
        barrier.require_kept(work.using, gid, CONFIRM)
    return Actual.COMMITTED


def cancel(work: Work, gid: str, call: Call, participant: Participant) -> Actual:
    """Undo what was reserved, and refuse a reserve that is late. A step of `end`."""
    # Never reserved, and now never will.
    unreserved = barrier.put(work.using, gid, TRY, CANCEL)
    row = barrier.one(work.using, barrier.REASON, gid, TRY)
    unreserved = unreserved or (row is not None and row[0] == CANCEL)
    if unreserved and not participant.elsewhere:
        return Actual.ABORTED
    if barrier.one(work.using, barrier.REASON, gid, CONFIRM) is not None:
        return Actual.HEURISTIC_COMMIT
    if barrier.put(work.using, gid, CANCEL, CANCEL):
        assert participant.cancel is not None
        call(participant.cancel)
        barrier.require_kept(work.using, gid, CANCEL)
    return Actual.ABORTED


def _finding(actual: Actual) -> str:
    if actual is Actual.HEURISTIC_ROLLBACK:
        return "its reserve left no barrier row: somebody removed or cancelled it"
    if actual is Actual.HEURISTIC_COMMIT:
        return "its confirm barrier is there: somebody confirmed it"
    return ""


def _failed(work: Work, gid: str, reason: str, participant: Participant) -> Ballot:
    """A no. It ends the branch only if no other attempt reserved, nor this one by itself.

    A no without a barrier would let a repeated message reserve for a branch that has ended.
    """
    if _refuse_late_reserve(work.using, gid):
        return _no(work, reason, participant)
    if work.form is Form.PIVOT:
        return _repeated(work, gid, participant)  # by now it has acted, which nothing undoes
    return Ballot(
        seq=work.seq, vote=Vote.NO, reason=f"{reason} (its reserve stood and is cancelled)"
    )


def _repeated(work: Work, gid: str, participant: Participant | None) -> Ballot:
    row = barrier.one(work.using, barrier.RESERVED, gid)
    if row is not None and row[0] == TRY:
        return Ballot(seq=work.seq, vote=Vote.YES, after_commit=bool(row[1]))
    return _no(work, "it was cancelled already", participant)


def _no(work: Work, reason: str, participant: Participant | None) -> Ballot:
    """A no. It ends the branch, unless a store elsewhere has yet to be told."""
    elsewhere = participant is None or participant.elsewhere
    actual = None if elsewhere else Actual.ABORTED
    return Ballot(seq=work.seq, vote=Vote.NO, actual=actual, reason=reason)
