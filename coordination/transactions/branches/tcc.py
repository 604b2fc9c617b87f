"""`tcc`: reserve, then confirm or cancel, each in one local transaction with its barrier row.

The barrier makes each step happen at most once and settles the races of messages: a cancel that
overtakes its reserve puts the reserve's row there itself, so the late reserve does nothing. Works
on every database Django knows with `INSERT … ON CONFLICT` (PostgreSQL, SQLite ≥ 3.24).
Source: the sub-transaction barrier of dtm (Ye Dongfu, 2021), with the row checked before the body.
"""

import json
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, InterfaceError, connections, transaction
from django.utils import timezone

from coordination.connections import database
from coordination.failpoints import hit
from coordination.kernel.gids import branch_gid
from coordination.transactions.branches.answer import Busy, InDoubt
from coordination.transactions.branches.body import TIMEOUT_MS_MAX, Unusable, words
from coordination.transactions.context import Context, VotedNo
from coordination.transactions.participants import Participant
from coordination.transactions.types import Actual, Ballot, Outcome, Result, Vote, Work

TRY, CONFIRM, CANCEL = "try", "confirm", "cancel"

FINISH_LOCK_MS = 10_000
"""How long a confirm or cancel waits for somebody else's row lock before it is tried again."""

TAKE = """
SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0)), set_config('lock_timeout', %s, true),
    set_config('statement_timeout', coalesce(%s, current_setting('statement_timeout')), true)"""
RAISE_BARRIER = """
INSERT INTO concord_barrier (branch_gid, op, reason, after_commit, at)
VALUES (%s, %s, %s, NULL, %s) ON CONFLICT (branch_gid, op) DO NOTHING"""
REASON = "SELECT reason, after_commit FROM concord_barrier WHERE branch_gid = %s AND op = %s"
RESERVED = """
SELECT reason, after_commit FROM concord_barrier AS b WHERE branch_gid = %s AND op = 'try'
AND NOT EXISTS (SELECT 1 FROM concord_barrier AS c
                WHERE c.branch_gid = b.branch_gid AND c.op = 'cancel')"""
KEEP_SIGNATURES = """
UPDATE concord_barrier SET after_commit = %s WHERE branch_gid = %s AND op = 'try'"""


def prepare(work: Work, participant: Participant) -> Ballot:
    """Reserve once and vote; a repeated message gets the first answer.

    Raises Busy when another attempt is at it, InDoubt when the reply to the commit was lost.
    """
    gid = branch_gid(work.gid, work.seq)
    if database.in_transaction(work.using):
        reason = f"{work.using} is inside atomic() or has autocommit off"
        return Ballot(seq=work.seq, vote=Vote.NO, reason=reason)
    if work.remaining_ms <= 0:
        reason = "the deadline had passed before it could run"
        return Ballot(seq=work.seq, vote=Vote.NO, reason=reason)
    context = Context(gid=work.gid, branch=gid, remaining_ms=work.remaining_ms)
    try:
        with transaction.atomic(using=work.using, durable=True):
            _take(work.using, gid, lock_ms=work.remaining_ms, statement_ms=work.remaining_ms)
            if not _pass(work.using, gid, TRY, TRY):
                return _repeated(work, gid)
            hit("branch.prepare.before")
            participant.body(context, **work.args)
            if context.refusal is not None:
                raise VotedNo(context.refusal)
            if context.remaining == 0:
                raise Unusable("its reserve returned after the deadline")
            _require_kept(work.using, gid, TRY)
            if context.signatures:
                _execute(work.using, KEEP_SIGNATURES, json.dumps(context.signatures), gid)
    except Busy:
        raise
    except Exception as error:
        if _unreachable(work.using, error):
            raise InDoubt(str(error)) from error
        return _failed(work, gid, context.refusal or words(error))
    hit("branch.prepare.after")
    return Ballot(seq=work.seq, vote=Vote.YES, after_commit=bool(context.signatures))


def give_up(work: Work, reason: str) -> Ballot:
    """Vote no and see that it stays so, unless the branch is reserved by now.

    Raises Busy while an attempt runs, InDoubt when nothing could be learned.
    """
    gid = branch_gid(work.gid, work.seq)
    return _no(work, reason) if _refuse_late_reserve(work.using, gid) else _repeated(work, gid)


def _refuse_late_reserve(using: str, gid: str) -> bool:
    """Put the cancel's row where a reserve would put its own; False when the reserve was first."""
    try:
        with transaction.atomic(using=using, durable=True):
            _take(using, gid, lock_ms=FINISH_LOCK_MS)
            return _pass(using, gid, TRY, CANCEL)
    except (DatabaseError, InterfaceError) as error:
        _unreachable(using, error)
        raise InDoubt(str(error)) from error


def finish(work: Work, outcome: Outcome, participant: Participant) -> Result:
    """Confirm or cancel once. Raises Busy or InDoubt when it has to be tried again."""
    gid = branch_gid(work.gid, work.seq)
    context = Context(gid=work.gid, branch=gid)
    step = _confirm if outcome is Outcome.COMMITTED else _cancel
    try:
        with transaction.atomic(using=work.using, durable=True):
            _take(work.using, gid, lock_ms=FINISH_LOCK_MS)
            actual = step(work, gid, lambda method: method(context, **work.args), participant)
    except Busy:
        raise
    except Exception as error:
        _unreachable(work.using, error)
        raise InDoubt(f"{type(error).__name__}: {error}") from error
    return Result(seq=work.seq, actual=actual, reason=_finding(actual))


def after_commit(using: str, gid: str) -> list[dict[str, Any]]:
    """The signatures a confirmed branch asked to be sent."""
    row = _one(using, REASON, gid, TRY)
    stored = row[1] if row else None
    return (json.loads(stored) if isinstance(stored, str) else stored) or []


Call = Callable[[Callable[..., Any]], Any]


def _confirm(work: Work, gid: str, call: Call, participant: Participant) -> Actual:
    row = _one(work.using, RESERVED, gid)
    if row is None or row[0] != TRY:
        return Actual.HEURISTIC_ROLLBACK
    if _pass(work.using, gid, CONFIRM, CONFIRM):
        assert participant.confirm is not None
        call(participant.confirm)
        _require_kept(work.using, gid, CONFIRM)
    return Actual.COMMITTED


def _cancel(work: Work, gid: str, call: Call, participant: Participant) -> Actual:
    if _pass(work.using, gid, TRY, CANCEL):
        return Actual.ABORTED  # never reserved, and now never will
    row = _one(work.using, REASON, gid, TRY)
    if row is not None and row[0] == CANCEL:
        return Actual.ABORTED
    if _one(work.using, REASON, gid, CONFIRM) is not None:
        return Actual.HEURISTIC_COMMIT
    if _pass(work.using, gid, CANCEL, CANCEL):
        assert participant.cancel is not None
        call(participant.cancel)
        _require_kept(work.using, gid, CANCEL)
    return Actual.ABORTED


def _finding(actual: Actual) -> str:
    if actual is Actual.HEURISTIC_ROLLBACK:
        return "its reserve left no barrier row: somebody removed or cancelled it"
    if actual is Actual.HEURISTIC_COMMIT:
        return "its confirm barrier is there: somebody confirmed it"
    return ""


def _failed(work: Work, gid: str, reason: str) -> Ballot:
    """A no. It ends the branch only if no other attempt reserved, nor this one by itself.

    A no without a barrier would let a repeated message reserve for a branch that has ended.
    """
    if _refuse_late_reserve(work.using, gid):
        return _no(work, reason)
    return Ballot(
        seq=work.seq, vote=Vote.NO, reason=f"{reason} (its reserve stood and is cancelled)"
    )


def _require_kept(using: str, gid: str, op: str) -> None:
    """Raise unless the work of a step and its barrier are about to be committed together.

    PostgreSQL answers COMMIT of a failed transaction with ROLLBACK and without an error.
    """
    if connections[using].needs_rollback:
        raise Unusable("its body marked the transaction for rollback")
    if _one(using, REASON, gid, op) is None:
        raise Unusable("its body ended the transaction by itself")


def _repeated(work: Work, gid: str) -> Ballot:
    row = _one(work.using, RESERVED, gid)
    if row is not None and row[0] == TRY:
        return Ballot(seq=work.seq, vote=Vote.YES, after_commit=bool(row[1]))
    return _no(work, "it was cancelled already")


def _no(work: Work, reason: str) -> Ballot:
    return Ballot(seq=work.seq, vote=Vote.NO, actual=Actual.ABORTED, reason=reason)


def _take(using: str, gid: str, *, lock_ms: int, statement_ms: int | None = None) -> None:
    """Keep other attempts at the branch out, and bound what it waits for, while this one lasts.

    Raises Busy when another is at it. SQLite lets one writer in at a time anyway.
    """
    if connections[using].vendor != "postgresql":
        return
    lock = f"{min(lock_ms, TIMEOUT_MS_MAX)}ms"
    statement = None if statement_ms is None else f"{min(statement_ms, TIMEOUT_MS_MAX)}ms"
    row = _one(using, TAKE, gid, lock, statement)
    if row is None or not row[0]:
        raise Busy(gid)


def _pass(using: str, gid: str, op: str, reason: str) -> bool:
    """Put up a barrier row; False when it stands already."""
    return _execute(using, RAISE_BARRIER, gid, op, reason, timezone.now()) == 1


def _execute(using: str, sql: str, *params: Any) -> int:
    with connections[using].cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)


def _one(using: str, sql: str, *params: Any) -> tuple[Any, ...] | None:
    with connections[using].cursor() as cursor:
        cursor.execute(sql, params)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row


def _unreachable(using: str, error: Exception) -> bool:
    """Whether the connection is gone (and is closed then), so that nothing is known of a commit."""
    if not isinstance(error, DatabaseError | InterfaceError):
        return False
    connection = connections[using]
    if connection.connection is not None and connection.is_usable():
        return False
    connection.close()
    return True
