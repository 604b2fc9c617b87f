"""Participants that live in the caller's process: same rows and code, no message.

Bodies run one after another in the caller's thread, while the databases of those before and after
work at the same time. If the process dies anywhere in here, the rows are those a worker would have
left, and the sweeper lets workers of this node finish.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from coordination.connections import database
from coordination.transactions import finishing, runner
from coordination.transactions.branches import xa
from coordination.transactions.branches.answer import NOT_NOW, Busy, InDoubt
from coordination.transactions.branches.body import Attempt
from coordination.transactions.participants import lookup
from coordination.transactions.types import (
    Actual,
    Ballot,
    Form,
    Mode,
    NewTransaction,
    Standing,
    Vote,
    Work,
)

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class InlineRun:
    """What the caller's own branches came to so far."""

    gid: str
    works: list[Work]
    ballots: list[Ballot] = field(default_factory=list)
    standing: Standing | None = None

    @property
    def refusal(self) -> Ballot | None:
        return next((ballot for ballot in self.ballots if ballot.vote is Vote.NO), None)


def run(new: NewTransaction) -> Standing | None:
    """Run, vote and finish the inline branches of a transaction that is durable.

    Returns how the transaction stands then; None when it is left to the sweeper.
    """
    works = [_work(new, branch.seq) for branch in new.branches if branch.inline]
    if not works:
        return None
    progress = InlineRun(new.gid, sorted(works, key=lambda work: work.form is Form.LAST))
    try:
        _vote(progress)
    except NOT_NOW as error:
        logger.warning("transaction %s goes on without its caller: %s", new.gid, error)
        _keep_votes(progress)
    standing = progress.standing
    if standing is not None and standing.outcome is not None:
        with suppress(*NOT_NOW):  # decided: whatever is left, a worker does
            _finish(new, progress, standing)
    return standing


def _vote(progress: InlineRun) -> None:
    for wave in _waves(progress.works):
        if wave[0].mode is Mode.XA and wave[0].form is not Form.ONE_PHASE:
            _run_wave(progress, wave)
        else:
            progress.ballots.append(runner.answer(wave[0]))
        if progress.standing is not None:
            return
        if progress.refusal is not None:
            break
    _vote_down_the_rest(progress)
    progress.standing = runner.cast(progress.gid, *progress.ballots)


def _waves(works: Sequence[Work]) -> Iterator[list[Work]]:
    """Runs of branches that can be under way at once: prepared ones, each in its own database."""
    wave: list[Work] = []
    for work in works:
        alone = work.mode is not Mode.XA or work.form is Form.ONE_PHASE
        if wave and (alone or wave[0].mode is not Mode.XA or _shares(wave, work)):
            yield wave
            wave = []
        wave.append(work)
    if wave:
        yield wave


def _shares(wave: Sequence[Work], work: Work) -> bool:
    return any(other.using == work.using for other in wave)


def _run_wave(progress: InlineRun, wave: Sequence[Work]) -> None:
    """Enter all, run each body in turn, seal each at once; their flushes then overlap."""
    attempts = [Attempt(work, lookup(work.participant)) for work in wave]
    try:
        entered = [attempt.enter() for attempt in attempts]
        database.wait(*filter(None, entered))
        sealing = []
        for attempt, entering in zip(attempts, entered, strict=True):
            attempt.run(entering)
            if attempt.refusal is not None or attempt.trouble is not None:
                break
            if attempt.runs and attempt.work.form is not Form.LAST:
                sealing.append((attempt, xa.seal(attempt)))
        database.wait(*(sent for _, sent in sealing))
        for attempt, sent in sealing:
            xa.sealed(attempt, sent)
        _collect(progress, attempts)
    finally:
        for attempt in attempts:
            attempt.leave()


def _collect(progress: InlineRun, attempts: Sequence[Attempt]) -> None:
    """Turn what the attempts came to into ballots; a last agent decides with them."""
    trouble: Busy | InDoubt | None = None
    for attempt in attempts:
        if attempt.work.form is Form.LAST and attempt.runs:
            if trouble is None and progress.refusal is None:
                others = tuple(progress.ballots)
                progress.standing = runner.decide_last(attempt, others)
            if attempt.kept and attempt.context.signatures:
                signed = Ballot(seq=attempt.work.seq, vote=Vote.YES, after_commit=True)
                progress.ballots.append(signed)
            continue
        if not (attempt.ran or attempt.found or attempt.refusal or attempt.trouble):
            continue  # never run, because one before it had failed
        attempt.leave()
        try:
            progress.ballots.append(xa.ballot(attempt))
        except (Busy, InDoubt) as error:
            trouble = error
    if trouble is not None:
        raise trouble


def _vote_down_the_rest(progress: InlineRun) -> None:
    refusal = progress.refusal
    if refusal is None:
        return
    voted = {ballot.seq for ballot in progress.ballots}
    reason = f"not run, because branch {refusal.seq} had voted no"
    progress.ballots += [
        Ballot(seq=work.seq, vote=Vote.NO, actual=_unrun(work), reason=reason)
        for work in progress.works
        if work.seq not in voted
    ]


def _unrun(work: Work) -> Actual | None:
    """A worker may have reserved meanwhile, and only cancelling undoes that. Orphans are found."""
    return None if work.mode is Mode.TCC else Actual.ABORTED


def _keep_votes(progress: InlineRun) -> None:
    """The branch that failed has no vote; the others' spare them being asked again."""
    with suppress(*NOT_NOW):
        if progress.ballots:
            progress.standing = runner.cast(progress.gid, *progress.ballots)


def _finish(new: NewTransaction, progress: InlineRun, standing: Standing) -> None:
    assert standing.outcome is not None
    mine = {work.seq for work in progress.works}
    others = len(mine) < len(new.branches)
    if (standing.decided_now and others) or new.then_signature is not None:
        runner.advance(new.gid, skip=mine)
    if standing.ended:
        return
    voted = {ballot.seq: ballot for ballot in progress.ballots if ballot.actual is None}
    unended = [
        replace(work, after_commit=voted[work.seq].after_commit)
        for work in progress.works
        if work.seq in voted
    ]
    finishing.conclude(unended, standing.outcome)


def _work(new: NewTransaction, seq: int) -> Work:
    branch = new.branches[seq - 1]
    return Work(
        gid=new.gid,
        seq=seq,
        participant=branch.participant,
        using=branch.using,
        mode=branch.mode,
        form=branch.form,
        args=branch.args,
        remaining_ms=new.deadline_ms,
    )
