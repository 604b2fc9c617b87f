"""Branches of one transaction that run in one process: waves of them, one vote for all.

Bodies run one after another in the process's thread, while the databases of those before and after
work at the same time. If the process dies anywhere in here, the rows are those that a worker of one
branch would have left, and whoever asks again gets the answer from them.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from coordination.connections import database
from coordination.connections.database import UNREACHABLE
from coordination.kernel.gids import Electorate
from coordination.transactions import breakers, finishing, runner
from coordination.transactions.branches import xa
from coordination.transactions.branches.answer import NOT_NOW, Busy, InDoubt, Later
from coordination.transactions.branches.body import Attempt
from coordination.transactions.coordinator import store
from coordination.transactions.participants import find, lookup
from coordination.transactions.types import Ballot, Form, Mode, Standing, Vote, Work


@dataclass(slots=True, kw_only=True)
class Together:
    """The branches of this process, and what they came to so far.

    `open` is called as soon as statements may be sent, `confirm` before anything that could last.
    """

    gid: str
    works: Sequence[Work]
    open: Callable[[], object] = runner.nothing
    confirm: Callable[[], object] = runner.nothing
    ballots: list[Ballot] = field(default_factory=list)
    standing: Standing | None = None
    attempts: list[Attempt] = field(default_factory=list)
    """Those whose blocks may be open."""

    started: float = field(default_factory=time.monotonic)

    def now(self, work: Work) -> Work:
        """The work with the time that is left for it after those before it."""
        spent_ms = int((time.monotonic() - self.started) * 1000)
        return replace(work, remaining_ms=work.remaining_ms - spent_ms)

    @property
    def electorate(self) -> Electorate | None:
        """Of a Paxos commit."""
        return self.works[0].electorate

    @property
    def refusal(self) -> Ballot | None:
        return next((ballot for ballot in self.ballots if ballot.vote is Vote.NO), None)

    def leave_kept(self) -> None:
        """Close the blocks of what is prepared: time for it is while a vote is under way."""
        for attempt in self.attempts:
            if attempt.kept:
                attempt.leave()

    def leave(self) -> None:
        """Close every block."""
        while self.attempts:
            self.attempts.pop().leave()


def vote(run: Together) -> None:
    """Run the branches and cast their votes; `run.standing` tells how the transaction stands then.

    Tries again at once when a connection was dead: a server's restart does that to every one.
    Raises what is in NOT_NOW when a branch has no answer; the votes of the others are cast.
    """
    try:
        _vote_once(run)
    except (InDoubt, *UNREACHABLE):
        if run.standing is not None and run.standing.outcome is not None:
            return
        run.confirm()
        run.ballots.clear()
        run.standing = None
        _vote_once(run)


def _vote_once(run: Together) -> None:
    try:
        _vote(run)
    except NOT_NOW:
        for attempt in run.attempts:
            breakers.left(attempt.work)
        run.leave()
        _keep_votes(run)
        raise
    finally:
        run.leave()


def follow(run: Together, *, here: bool) -> None:
    """After the decision: see to the branches of others if it was made now, and end one's own.

    `here`: end other prepared branches of this node in this process too, which spares messages.
    """
    standing = run.standing
    if standing is not None and standing.outcome is None and standing.pending == 0:
        # In three phases: everybody is told of the votes first.
        runner.advance(run.gid, skip=[work.seq for work in run.works], here=here)
        standing = run.standing = store().standing(run.gid)
    if standing is None or standing.outcome is None or standing.ended:
        return
    voted = {ballot.seq: ballot for ballot in run.ballots if ballot.actual is None}
    unended = [_signed(work, voted[work.seq]) for work in run.works if work.seq in voted]
    if standing.decided_now and standing.unfinished > len(unended):
        runner.advance(run.gid, skip=[work.seq for work in unended], here=here)
    if unended:
        finishing.conclude(unended, standing.outcome)


def _signed(work: Work, ballot: Ballot) -> Work:
    return replace(work, after_commit=True) if ballot.after_commit else work


def _vote(run: Together) -> None:
    for wave in _waves(sorted(run.works, key=_rank)):
        run.leave()  # the wave before may be in the same databases
        if _refused(run, wave):
            break
        if _joins(wave[0]):
            _run_wave(run, wave)
        elif _is_called(wave[0]):
            _ask_services(run, wave)
        else:
            run.open()
            run.confirm()
            run.ballots.append(runner.answer(run.now(wave[0])))
        if run.standing is not None:
            return
        if run.refusal is not None:
            break
    _vote_down_the_rest(run)
    run.standing = runner.cast(
        run.gid, *run.ballots, electorate=run.electorate, meanwhile=run.leave_kept
    )


def _rank(work: Work) -> int:
    """Services first, so that no lock of ours is held while they answer; a last agent last."""
    if work.form is Form.LAST:
        return 2
    return 0 if work.mode is Mode.HTTP else 1


def _is_called(work: Work) -> bool:
    """Whether it is a service of which this process knows the address."""
    return work.mode is Mode.HTTP and find(work.participant) is not None


def _ask_services(run: Together, wave: Sequence[Work]) -> None:
    """Ask all at once. Raises Later when one gives no vote, unless another's no decides."""
    run.open()
    run.confirm()
    trouble: Later | None = None
    works = [run.now(work) for work in wave]
    for work, said in zip(works, runner.ask_services(works), strict=True):
        try:
            with breakers.watched(work):
                if isinstance(said, Later):
                    raise said
        except Later as error:
            trouble = error
        else:
            run.ballots.append(said)
    if trouble is not None and run.refusal is None:
        raise trouble


def _waves(works: Sequence[Work]) -> Iterator[list[Work]]:
    """Runs of branches that can be under way at once: services, or each in its own database."""
    wave: list[Work] = []
    for work in works:
        if wave and not _fits(wave, work):
            yield wave
            wave = []
        wave.append(work)
    if wave:
        yield wave


def _fits(wave: Sequence[Work], work: Work) -> bool:
    if _is_called(work):
        return _is_called(wave[0])
    return _joins(work) and _joins(wave[0]) and _has_room(wave, work)


def _joins(work: Work) -> bool:
    """Whether its body is to be run in a transaction that is held open beside others."""
    prepares = work.mode is Mode.XA and work.form is not Form.ONE_PHASE
    return (
        prepares
        and work.remaining_ms > 0
        and work.attempt <= runner.ATTEMPTS_MAX
        and find(work.participant) is not None
    )


def _has_room(wave: Sequence[Work], work: Work) -> bool:
    return all(other.using != work.using for other in wave)


def _refused(run: Together, wave: Sequence[Work]) -> bool:
    """Whether a participant of the wave has not answered for long: that is a no at once."""
    tried_here = _joins(wave[0]) or _is_called(wave[0])
    refused = breakers.asked(*wave) if tried_here else None
    if refused is None:
        return False
    run.open()
    run.confirm()
    work = next(work for work in wave if work.participant == refused.participant)
    run.ballots.append(runner.unavailable(work, refused))
    return True


def _run_wave(run: Together, wave: Sequence[Work]) -> None:
    """Enter all, run each body in turn, seal each at once; their flushes then overlap."""
    run.attempts = [Attempt(work, lookup(work.participant)) for work in wave]
    _enter(run)
    sealing = []
    for attempt in run.attempts:
        attempt.run()
        if attempt.refusal is not None or attempt.trouble is not None:
            break
        if attempt.runs and attempt.work.form is not Form.LAST:
            run.confirm()
            sealing.append((attempt, xa.seal(attempt)))
    run.confirm()
    database.wait(*(sent for _, sent in sealing))
    for attempt, sent in sealing:
        xa.sealed(attempt, sent)
    _collect(run)


def _enter(run: Together) -> None:
    """Send each its entry as soon as its block is open: the databases then work meanwhile."""
    ours = store().using
    for attempt in run.attempts:
        if attempt.open():
            if attempt.work.using == ours:
                run.open()  # after BEGIN the rows would be part of the branch's own work
            attempt.enter()
    run.open()


def _collect(run: Together) -> None:
    """Turn what the attempts came to into ballots; a last agent decides with them."""
    trouble: Busy | InDoubt | None = None
    for attempt in run.attempts:
        if attempt.work.form is Form.LAST and attempt.runs:
            if trouble is None and run.refusal is None:
                others = tuple(run.ballots)
                with breakers.watched(attempt.work):
                    run.standing = runner.decide_last(attempt, others, meanwhile=run.leave_kept)
            else:
                breakers.left(attempt.work)
            if attempt.kept and attempt.context.signatures:
                signed = Ballot(seq=attempt.work.seq, vote=Vote.YES, after_commit=True)
                run.ballots.append(signed)
            continue
        if not (attempt.ran or attempt.found or attempt.refusal or attempt.trouble):
            # Never run, because one before it had failed. Its block may be open on the connection
            # that the vote is about to take.
            attempt.leave()
            breakers.left(attempt.work)
            continue
        if not attempt.kept:
            attempt.leave()
        try:
            with breakers.watched(attempt.work):
                run.ballots.append(xa.ballot(attempt))
        except (Busy, InDoubt) as error:
            trouble = error
    if trouble is not None:
        raise trouble


def _vote_down_the_rest(run: Together) -> None:
    refusal = run.refusal
    if refusal is None:
        return
    voted = {ballot.seq for ballot in run.ballots}
    # It may be the one that the transaction's own reason is taken from.
    reason = f"not run, because branch {refusal.seq} had voted no: {refusal.reason}"
    run.ballots += [
        Ballot(seq=work.seq, vote=Vote.NO, actual=runner.unrun(work), reason=reason)
        for work in run.works
        if work.seq not in voted
    ]


def _keep_votes(run: Together) -> None:
    """The branch that failed has no vote; the others' spare them being asked again."""
    with suppress(*NOT_NOW):
        if run.ballots:
            run.standing = runner.cast(run.gid, *run.ballots, electorate=run.electorate)
