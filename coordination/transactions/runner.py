"""Performs what the engine asks for, and what a branch's own part is in it.

Used alike by Celery tasks, by the caller for participants in its process, by the sweeper and by
operators. Everything here may be killed at any line or run twice: rows decide, messages only hurry.
"""

import logging
from collections.abc import Collection
from dataclasses import replace

from coordination import conf
from coordination.connections import database
from coordination.connections.database import UNREACHABLE, Exchange, StatementRefused
from coordination.exceptions import UnknownParticipant
from coordination.failpoints import hit
from coordination.kernel.backoff import backoff_ms
from coordination.kernel.gids import branch_gid
from coordination.transactions import dispatch
from coordination.transactions.branches import last, one_phase, tcc, witness, xa
from coordination.transactions.branches.answer import Busy, InDoubt
from coordination.transactions.branches.body import PREPARED, Attempt
from coordination.transactions.coordinator import identity, store
from coordination.transactions.engine import Continue, Decide, Effect, Send, step
from coordination.transactions.mailbox import process_mailbox
from coordination.transactions.participants import lookup
from coordination.transactions.types import (
    Actual,
    Ballot,
    Form,
    Mode,
    Outcome,
    Phase,
    Result,
    Snapshot,
    Standing,
    Vote,
    Work,
)

logger = logging.getLogger(__name__)

ATTEMPTS_MAX = 10
"""Runs of one body before it is held to be what kills its workers, and voted down."""
RETRY_BASE_MS, RETRY_CAP_MS = 500, 30_000


def advance(gid: str, *, skip: Collection[int] = (), resend: bool = False) -> None:
    """Do what is next for one transaction. `skip` names branches the caller sees to itself."""
    for snapshot in store().snapshots([gid]):
        perform(snapshot, skip=skip, resend=resend)


def perform(snapshot: Snapshot, *, skip: Collection[int] = (), resend: bool = False) -> None:
    """Perform the engine's effects; after a decision, those that follow from it."""
    effects = step(snapshot)
    for effect in effects:
        if isinstance(effect, Decide):
            standing = decide(snapshot.gid, effect.outcome, reason=effect.reason)
            if standing is not None and standing.outcome is not None:
                advance(snapshot.gid, skip=skip, resend=resend)
            return
        _perform(snapshot, effect, skip=skip, resend=resend)


def _perform(snapshot: Snapshot, effect: Effect, *, skip: Collection[int], resend: bool) -> None:
    if isinstance(effect, Continue):
        continue_after(snapshot.gid)
    elif isinstance(effect, Send) and effect.seq not in skip:
        branch = snapshot.branches[effect.seq - 1]
        sent = dispatch.send(effect.phase, gid=snapshot.gid, seq=effect.seq, node=branch.node)
        if sent and resend:
            store().note(
                snapshot.gid,
                "branch.sent",
                seq=effect.seq,
                data={"seq": effect.seq, "phase": effect.phase},
                by=identity(),
            )


def decide(
    gid: str, outcome: Outcome, *, reason: str, force: bool = False, by: str | None = None
) -> Standing | None:
    """Ask the register and, if this call set it, tell the waiter."""
    hit("tx.decide.before")
    standing = store().decide(gid, outcome, reason=reason, by=by or identity(), force=force)
    hit("tx.decide.after")
    return _told(gid, standing)


def cast(gid: str, *ballots: Ballot) -> Standing | None:
    """Record votes with the decision they make and, if they made one, tell the waiter."""
    hit("branch.vote.before")
    standing = store().vote(gid, ballots, by=identity())
    hit("branch.vote.after")
    return _told(gid, standing)


def _told(gid: str, standing: Standing | None) -> Standing | None:
    if standing is not None and standing.decided_now and standing.mailbox:
        assert standing.outcome is not None
        process_mailbox().deliver(standing.mailbox, gid, standing.outcome, standing.reason)
    return standing


def prepare_branch(work: Work) -> None:
    """Answer a prepare message: run the branch, vote, and see to what the vote decided."""
    if work.actual is not None:
        return
    if work.outcome is not None:
        conclude(work, work.outcome)
        return
    if work.vote is not None:
        return
    if work.form is Form.LAST:
        _prepare_last(work)
        return
    ballot = answer(work)
    standing = cast(work.gid, ballot)
    if standing is not None and standing.outcome is not None:
        follow(replace(work, after_commit=ballot.after_commit), ballot, standing)


def follow(work: Work, ballot: Ballot, standing: Standing) -> None:
    """After a vote met or made the decision: wake the others, then end this branch here."""
    if standing.decided_now and not standing.ended:
        advance(work.gid, skip=(work.seq,))
    assert standing.outcome is not None
    if ballot.actual is None:
        conclude(work, standing.outcome)


def answer(work: Work) -> Ballot:
    """The ballot of a branch that prepares or commits alone. Raises Busy or InDoubt."""
    try:
        participant = lookup(work.participant)
    except UnknownParticipant as error:
        return Ballot(seq=work.seq, vote=Vote.NO, actual=Actual.ABORTED, reason=str(error))
    if work.attempt > ATTEMPTS_MAX:
        return _give_up(work)
    if work.mode is Mode.TCC:
        return tcc.prepare(work, participant)
    if work.form is Form.ONE_PHASE:
        return one_phase.prepare(work, participant)
    return xa.prepare(work, participant)


def _give_up(work: Work) -> Ballot:
    """The vote after too many attempts, unless one of them is running or has left its work.

    Raises Busy while one runs.
    """
    reason = f"given up after {ATTEMPTS_MAX} attempts that ended without an answer"
    if work.mode is Mode.TCC:
        return tcc.give_up(work, reason)
    gid = branch_gid(work.gid, work.seq)
    if witness.is_prepared(work.using, gid):
        return xa.found(work, PREPARED)
    if (kind := witness.bury(work.using, gid)) == witness.TOMBSTONE:
        return Ballot(seq=work.seq, vote=Vote.NO, actual=Actual.ABORTED, reason=reason)
    return xa.found(work, kind)


def decide_last(attempt: Attempt, others: tuple[Ballot, ...] = ()) -> Standing | None:
    """Let a last agent whose body was run decide; the votes of `others` go with its own.

    Returns how the transaction stands then. Raises Busy or InDoubt when that is not known.
    """
    gid = attempt.work.gid
    if attempt.runs:
        hit("branch.vote.before")
        standing = last.decide(attempt, others)
        hit("branch.vote.after")
        if standing is not None:
            return _told(gid, standing)
    attempt.leave()
    if attempt.found is not None:
        return store().standing(gid)
    return cast(gid, *others, xa.ballot(attempt))


def _prepare_last(work: Work) -> None:
    if work.remaining_ms <= 0:
        return
    attempt = Attempt(work, lookup(work.participant))
    attempt.run(attempt.enter())
    standing = decide_last(attempt)
    if standing is not None and standing.outcome is not None:
        advance(work.gid)


def conclude(work: Work, outcome: Outcome) -> bool:
    """End a branch as decided and record it. False: it could not be done or known; try again."""
    try:
        result = end(work, outcome)
    except (Busy, InDoubt, StatementRefused, UnknownParticipant, *UNREACHABLE) as error:
        _delayed(work, error)
        return False
    acknowledge(work.gid, result)
    return True


def end(work: Work, outcome: Outcome) -> Result:
    """End a branch in its own database. Raises Busy or InDoubt when that is not known yet."""
    return ended(work, outcome, start_end(work, outcome))


def start_end(work: Work, outcome: Outcome) -> Exchange | None:
    """Begin to end a branch; None where that is not a matter of one statement."""
    hit("branch.finish.before")
    if not work.using:
        lookup(work.participant)  # raises: no process knew it, so nobody can say where it worked
    return None if work.mode is Mode.TCC else xa.start_finish(work, outcome)


def ended(work: Work, outcome: Outcome, ending: Exchange | None) -> Result:
    """Complete what `start_end` began. Raises as `end` does."""
    if ending is None:
        result = tcc.finish(work, outcome, lookup(work.participant))
    else:
        result = xa.finished(work, outcome, database.answered(ending))
    hit("branch.finish.after")
    if result.actual is Actual.COMMITTED and work.after_commit:
        send_after_commit(work)
    return result


def acknowledge(gid: str, *results: Result) -> None:
    """Record how branches ended, and the end of the transaction with the last of them."""
    hit("branch.ack.before")
    store().finish(gid, results, by=identity())
    hit("branch.ack.after")


def send_after_commit(work: Work) -> None:
    """Send what the body left for after its commit, before its end is recorded: at least once.

    Raises InDoubt when the broker does not take it, so that the branch is finished again.
    """
    gid = branch_gid(work.gid, work.seq)
    read = tcc.after_commit if work.mode is Mode.TCC else witness.after_commit
    for index, payload in enumerate(read(work.using, gid)):
        if not dispatch.start(payload, task_id=f"{gid}-{index}"):
            raise InDoubt("the broker did not take what is to run after the commit")


def continue_after(gid: str) -> None:
    """Start the continuation of a decided transaction, then record that it was started."""
    payload, standing = store().then_signature(gid), store().standing(gid)
    if payload is None or standing is None or standing.outcome is None:
        return
    told = dispatch.decision_answer(gid, standing.outcome, standing.reason)
    if dispatch.start(payload, task_id=f"{gid}-then", answer=told):
        store().continued(gid, by=identity())


def _delayed(work: Work, error: Exception) -> None:
    retry_ms = backoff_ms(work.attempt, base_ms=RETRY_BASE_MS, cap_ms=RETRY_CAP_MS, uniform=0.5)
    reason = f"{type(error).__name__}: {error}"[:500]
    level = logging.INFO if isinstance(error, Busy) else logging.WARNING
    logger.log(level, "branch %s:%s not finished: %s", work.gid, work.seq, reason)
    store().note(
        work.gid,
        "branch.delayed",
        seq=work.seq,
        data={
            "seq": work.seq,
            "phase": Phase.FINISH,
            "error": reason,
            "attempt": work.attempt,
            "retry_in_ms": retry_ms,
        },
        by=identity(),
        error=reason,
        retry_ms=retry_ms,
    )


def node_for(participant_name: str) -> tuple[str, bool]:
    """The node whose workers run a participant, and whether it runs in this process instead."""
    settings = conf.current()
    node = settings.node_of_participant(participant_name)
    return (settings.node, True) if node is None else (node, False)
