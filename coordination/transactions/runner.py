"""Performs what the engine asks for, and what a branch's own part is in it.

Used alike by Celery tasks, by the caller for participants in its process, by the sweeper and by
operators. Everything here may be killed at any line or run twice: rows decide, messages only hurry.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence

from django.db import connections

from coordination import conf
from coordination.connections import database
from coordination.exceptions import CoordinationError, UnknownParticipant
from coordination.failpoints import hit
from coordination.kernel.gids import Electorate
from coordination.transactions import breakers, dispatch, messages
from coordination.transactions.branches import (
    http,
    last,
    one_phase,
    precommit,
    saga,
    tcc,
    witness,
    xa,
)
from coordination.transactions.branches.answer import InDoubt, Later
from coordination.transactions.branches.body import PREPARED, Attempt
from coordination.transactions.breakers import Refused
from coordination.transactions.coordinator import identity, store
from coordination.transactions.engine import Continue, Decide, step
from coordination.transactions.finishing import conclude, delayed
from coordination.transactions.mailbox import process_mailbox
from coordination.transactions.participants import Participant, lookup
from coordination.transactions.registers import elsewhere, votes
from coordination.transactions.types import (
    ROW,
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

logger = logging.getLogger(__name__)

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
    telling: list[Work] = []
    sending: list[tuple[Phase, BranchState]] = []
    for effect in step(snapshot):
        if isinstance(effect, Decide):
            standing = put_to_register(snapshot, effect)
            if standing is not None and standing.outcome is not None:
                advance(snapshot.gid, skip=skip, resend=resend, here=here)
            return
        if isinstance(effect, Continue):
            continue_after(snapshot.gid)
        elif effect.seq not in skip or effect.phase is Phase.PRECOMMIT:
            branch = snapshot.branches[effect.seq - 1]
            if effect.phase is Phase.PRECOMMIT and _reached(branch):
                telling.append(_ending(snapshot, branch))
            elif here and effect.phase is Phase.FINISH and _ends_here(branch):
                ending.append(_ending(snapshot, branch))
            else:
                sending.append((effect.phase, branch))
    messages.send(snapshot, sending, resend=resend)
    if telling and precommit_here(telling):
        advance(snapshot.gid, skip=skip, resend=resend, here=here)
    if ending and snapshot.outcome is not None:
        conclude(ending, snapshot.outcome)


def put_to_register(snapshot: Snapshot, effect: Decide) -> Standing | None:
    """Decide. Raises InDoubt when a register elsewhere does not answer: others may go on."""
    try:
        return decide(snapshot.gid, effect.outcome, reason=effect.reason)
    except CoordinationError as error:
        if snapshot.register == ROW:
            raise
        raise InDoubt(str(error)) from error


def _ends_here(branch: BranchState) -> bool:
    """Whether ending it is one statement in a database of ours, and no code of a participant's."""
    return _reached(branch) and branch.mode is Mode.XA and branch.form is not Form.FORWARD


def _reached(branch: BranchState) -> bool:
    return branch.node == conf.current().node and branch.using in connections


def precommit_here(works: Sequence[Work]) -> bool:
    """Note in databases of ours that every vote is yes; whether that brought it forward."""
    gid = works[0].gid
    try:
        known = precommit.note(works)
    except InDoubt as error:
        logger.info("branches of %s not pre-committed now: %s", gid, error)
        return False
    store().precommitted(gid, known, by=identity())
    return True


def _ending(snapshot: Snapshot, branch: BranchState) -> Work:
    return Work(
        gid=snapshot.gid,
        electorate=snapshot.electorate,
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
    """Ask the register and, if this call set it, tell the waiter.

    Raises StoreUnavailable or OutcomeUnknown when the register does not answer.
    """
    hit("tx.decide.before")
    standing = store().decide(gid, outcome, reason=reason, by=by or identity(), force=force)
    if standing is not None and standing.due is not None:
        standing = elsewhere.decide(gid, standing, reason=reason, by=by or identity())
    hit("tx.decide.after")
    return _told(gid, standing)


def nothing() -> None:
    """What there is to do meanwhile, or before, as a rule."""


def cast(
    gid: str,
    *ballots: Ballot,
    electorate: Electorate | None,
    meanwhile: Callable[[], object] = nothing,
) -> Standing | None:
    """Record votes with the decision they make and, if they made one, tell the waiter.

    Args:
        electorate: of a Paxos commit, the registers that have to hold the votes first.
        meanwhile: called while the answer is awaited.

    Raises InDoubt when registers elsewhere do not answer: the votes are asked for again.
    """
    hit("branch.vote.before")
    try:
        if electorate is not None and electorate.branches:
            ballots = tuple(votes.chosen(gid, electorate, ballots))
            hit("tx.register.after")
        standing = store().vote(gid, ballots, by=identity(), meanwhile=meanwhile)
        if standing is not None and standing.due is not None:
            reason = standing.reason or "every participant voted yes"
            standing = elsewhere.decide(gid, standing, reason=reason, by=identity())
    except database.UNREACHABLE:
        raise
    except CoordinationError as error:
        raise InDoubt(str(error)) from error
    hit("branch.vote.after")
    return _told(gid, standing)


def _told(gid: str, standing: Standing | None) -> Standing | None:
    if standing is not None and standing.decided_now and standing.mailbox:
        assert standing.outcome is not None
        process_mailbox().deliver(standing.mailbox, gid, standing.outcome, standing.reason)
    return standing


def answer(work: Work) -> Ballot:
    """The ballot of a branch that prepares or commits alone. Raises Busy, InDoubt or Later.

    Where its participant has not answered for long, that is a no at once.
    """
    refused = breakers.asked(work)
    if refused is not None:
        return unavailable(work, refused)
    with breakers.watched(work):
        return _answer(work)


def unavailable(work: Work, refused: Refused) -> Ballot:
    """A no without trying. Raises InDoubt for a branch whose own database alone may say no."""
    if work.form in (Form.ONE_PHASE, Form.PIVOT):
        raise InDoubt(refused.reason)
    return Ballot(seq=work.seq, vote=Vote.NO, actual=unrun(work), reason=refused.reason)


def unrun(work: Work) -> Actual | None:
    """Whether it has ended by not being run: not where an earlier attempt may have left something.

    A worker may have reserved meanwhile, and only cancelling undoes that; orphans are found.
    """
    first = work.attempt == 1 and work.mode is Mode.XA
    return Actual.ABORTED if first else None


def _answer(work: Work) -> Ballot:
    if work.form is Form.ONE_PHASE and work.remaining_ms <= 0:
        return one_phase.settle(work, "the deadline passed before it could commit")
    try:
        participant = lookup(work.participant)
    except UnknownParticipant as error:
        return _unknown(work, str(error))
    if work.mode is Mode.HTTP:
        return _asked(work)
    if work.attempt > ATTEMPTS_MAX:
        return _give_up(work, participant)
    if work.mode is Mode.SAGA:
        return saga.prepare(work, participant)
    if work.mode is Mode.TCC:
        return tcc.prepare(work, participant)
    if work.form is Form.ONE_PHASE:
        return one_phase.prepare(work, participant)
    return xa.prepare(work, participant)


def _asked(work: Work) -> Ballot:
    """The vote of a service; where it gives none, the history tells why and when it is asked again.

    Raises Later.
    """
    (said,) = ask_services([work])
    if isinstance(said, Later):
        raise said
    return said


def ask_services(works: Sequence[Work]) -> Iterator[Ballot | Later]:
    """The votes of several services, asked at the same time; told of one that gives none."""
    for work, said in zip(works, http.prepare_all(works), strict=True):
        if isinstance(said, Later):
            delayed(work, Phase.PREPARE, said)
        yield said


def _unknown(work: Work, reason: str) -> Ballot:
    """The vote of a process without the code; another may have it, and have done the work."""
    if work.form is Form.ONE_PHASE:
        return one_phase.settle(work, reason)
    if work.form is Form.PIVOT and work.mode is not Mode.XA:
        if not work.using:
            raise InDoubt(reason)
        return tcc.give_up(work, reason, None)
    nowhere = not work.using and work.mode is not Mode.HTTP
    actual = Actual.ABORTED if nowhere else None
    return Ballot(seq=work.seq, vote=Vote.NO, actual=actual, reason=reason)


def _give_up(work: Work, participant: Participant) -> Ballot:
    """The vote after too many attempts, unless one of them is running or has left its work.

    Raises Busy while one runs.
    """
    reason = f"given up after {ATTEMPTS_MAX} attempts that ended without an answer"
    if work.mode is not Mode.XA:
        return tcc.give_up(work, reason, participant)
    gid = work.branch_gid
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
    return cast(gid, *others, xa.ballot(attempt), electorate=None)


def continue_after(gid: str) -> None:
    """Start the continuation of a decided transaction, then record that it was started."""
    payload, standing = store().then_signature(gid), store().standing(gid)
    if payload is None or standing is None or standing.outcome is None:
        return
    told = dispatch.decision_answer(gid, standing.outcome, standing.reason)
    if dispatch.start(payload, task_id=f"{gid}-then", answer=told):
        store().continued(gid, by=identity())
