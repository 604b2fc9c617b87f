"""Performs what the engine asks for, and what a branch's own part is in it.

Used alike by Celery tasks, by the caller for participants in its process, by the sweeper and by
operators. Everything here may be killed at any line or run twice: rows decide, messages only hurry.
"""

from collections.abc import Callable, Collection

from django.db import connections

from coordination import conf
from coordination.exceptions import UnknownParticipant
from coordination.failpoints import hit
from coordination.kernel.gids import branch_gid
from coordination.transactions import dispatch, messages
from coordination.transactions.branches import last, one_phase, tcc, witness, xa
from coordination.transactions.branches.body import PREPARED, Attempt
from coordination.transactions.coordinator import identity, store
from coordination.transactions.engine import Continue, Decide, step
from coordination.transactions.finishing import conclude
from coordination.transactions.mailbox import process_mailbox
from coordination.transactions.participants import lookup
from coordination.transactions.types import (
    Actual,
    Ballot,
    BranchState,
    Form,
    Mode,
    Outcome,
    Phase,
    Snapshot,
    Standing,
    Vote,
    Work,
)

ATTEMPTS_MAX = 10
"""Runs of one body before it is held to be what kills its workers, and voted down."""


def advance(
    gid: str, *, skip: Collection[int] = (), resend: bool = False, here: bool = False
) -> None:
    """Do what is next for one transaction.

    Args:
        skip: branches the caller sees to itself.
        resend: what is sent is a repetition, and told in the history.
        here: end prepared branches of this node in this process, which spares their messages.
    """
    for snapshot in store().snapshots([gid]):
        perform(snapshot, skip=skip, resend=resend, here=here)


def perform(
    snapshot: Snapshot, *, skip: Collection[int] = (), resend: bool = False, here: bool = False
) -> None:
    """Perform the engine's effects; after a decision, those that follow from it."""
    ending: list[Work] = []
    sending: list[tuple[Phase, BranchState]] = []
    for effect in step(snapshot):
        if isinstance(effect, Decide):
            standing = decide(snapshot.gid, effect.outcome, reason=effect.reason)
            if standing is not None and standing.outcome is not None:
                advance(snapshot.gid, skip=skip, resend=resend, here=here)
            return
        if isinstance(effect, Continue):
            continue_after(snapshot.gid)
        elif effect.seq not in skip:
            branch = snapshot.branches[effect.seq - 1]
            if here and effect.phase is Phase.FINISH and _ends_here(branch):
                ending.append(_ending(snapshot.gid, branch))
            else:
                sending.append((effect.phase, branch))
    messages.send(snapshot, sending, resend=resend)
    if ending and snapshot.outcome is not None:
        conclude(ending, snapshot.outcome)


def _ends_here(branch: BranchState) -> bool:
    """Whether ending it is one statement in a database of ours, and no code of a participant's."""
    ours = branch.node == conf.current().node and branch.using in connections
    return ours and branch.mode is Mode.XA


def _ending(gid: str, branch: BranchState) -> Work:
    return Work(
        gid=gid,
        seq=branch.seq,
        participant=branch.participant,
        using=branch.using,
        mode=branch.mode,
        form=branch.form,
        after_commit=branch.after_commit,
    )


def decide(
    gid: str, outcome: Outcome, *, reason: str, force: bool = False, by: str | None = None
) -> Standing | None:
    """Ask the register and, if this call set it, tell the waiter."""
    hit("tx.decide.before")
    standing = store().decide(gid, outcome, reason=reason, by=by or identity(), force=force)
    hit("tx.decide.after")
    return _told(gid, standing)


def nothing() -> None:
    """What there is to do meanwhile, or before, as a rule."""


def cast(gid: str, *ballots: Ballot, meanwhile: Callable[[], object] = nothing) -> Standing | None:
    """Record votes with the decision they make and, if they made one, tell the waiter.

    `meanwhile` is called while the answer is awaited.
    """
    hit("branch.vote.before")
    standing = store().vote(gid, ballots, by=identity(), meanwhile=meanwhile)
    hit("branch.vote.after")
    return _told(gid, standing)


def _told(gid: str, standing: Standing | None) -> Standing | None:
    if standing is not None and standing.decided_now and standing.mailbox:
        assert standing.outcome is not None
        process_mailbox().deliver(standing.mailbox, gid, standing.outcome, standing.reason)
    return standing


def answer(work: Work) -> Ballot:
    """The ballot of a branch that prepares or commits alone. Raises Busy or InDoubt."""
    if work.form is Form.ONE_PHASE and work.remaining_ms <= 0:
        return one_phase.settle(work, "the deadline passed before it could commit")
    try:
        participant = lookup(work.participant)
    except UnknownParticipant as error:
        return _unknown(work, str(error))
    if work.attempt > ATTEMPTS_MAX:
        return _give_up(work)
    if work.mode is Mode.TCC:
        return tcc.prepare(work, participant)
    if work.form is Form.ONE_PHASE:
        return one_phase.prepare(work, participant)
    return xa.prepare(work, participant)


def _unknown(work: Work, reason: str) -> Ballot:
    """The vote of a process without the code; another may have it, and have done the work."""
    if work.form is Form.ONE_PHASE:
        return one_phase.settle(work, reason)
    actual = None if work.using else Actual.ABORTED
    return Ballot(seq=work.seq, vote=Vote.NO, actual=actual, reason=reason)


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


def decide_last(
    attempt: Attempt, others: tuple[Ballot, ...], *, meanwhile: Callable[[], object]
) -> Standing | None:
    """Let a last agent whose body was run decide; the votes of `others` go with its own.

    `meanwhile` is called while the answer is awaited. Returns how the transaction stands then.
    Raises Busy or InDoubt when that is not known.
    """
    gid = attempt.work.gid
    if attempt.runs:
        hit("branch.vote.before")
        standing = last.decide(attempt, others, meanwhile=meanwhile)
        hit("branch.vote.after")
        if standing is not None:
            return _told(gid, standing)
    attempt.leave()
    if attempt.found is not None:
        return store().standing(gid)
    return cast(gid, *others, xa.ballot(attempt))


def continue_after(gid: str) -> None:
    """Start the continuation of a decided transaction, then record that it was started."""
    payload, standing = store().then_signature(gid), store().standing(gid)
    if payload is None or standing is None or standing.outcome is None:
        return
    told = dispatch.decision_answer(gid, standing.outcome, standing.reason)
    if dispatch.start(payload, task_id=f"{gid}-then", answer=told):
        store().continued(gid, by=identity())
