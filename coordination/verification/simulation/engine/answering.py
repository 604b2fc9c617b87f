"""How a branch that prepares or commits alone is answered, whoever asks: after `branches/`."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from coordination.transactions.machine import Local
from coordination.transactions.types import Form, Mode, Vote
from coordination.verification.simulation.engine.book import (
    NO,
    NO_ABORTED,
    YES,
    YES_COMMITTED,
    Cast,
    Refused,
)
from coordination.verification.simulation.engine.branch import Branch
from coordination.verification.simulation.engine.rows import Rows
from coordination.verification.simulation.engine.rules import Rules
from coordination.verification.simulation.processes import Lost, Request
from coordination.verification.simulation.scheduler import Simulation

Steps = Generator[Request | int, Any, Any]

BODY_US = 3_000


@dataclass(slots=True)
class Claimed:
    """A branch as a worker has claimed it."""

    branch: Branch
    left_us: int
    """Time until the deadline, as it was at the claim."""
    attempt: int
    claimed_at_us: int
    """By a clock that never jumps."""

    @property
    def late(self) -> bool:
        """Whether the deadline had passed at the claim."""
        return self.left_us <= 0


class Answering:
    """Runs bodies in the databases of branches."""

    def __init__(self, sim: Simulation, rules: Rules, rows: Rows) -> None:
        self.sim, self.rules, self.rows = sim, rules, rows

    def answer(self, work: Claimed) -> Steps:
        """The ballot. Raises Busy or Lost."""
        branch, form = work.branch, work.branch.kind.form
        if work.late:
            return (yield from self._too_late(branch))
        if work.attempt > self.rules.gives_up_after:
            return (yield from self._given_up(branch))
        found = yield (branch.place, "branch.enter", branch.enter, ())
        if found is not Local.IDLE:
            return NO_ABORTED if found is Local.TOMBSTONE else YES
        body = yield from self._body(work)
        if form is Form.ONE_PHASE:
            ballot = yield from self._asked(branch, "branch.commit", branch.commit, body)
        elif not self.rules.prepares_before_vote and body is Vote.YES:
            yield (branch.place, "branch.leave", branch.leave, ())
            return YES
        else:
            ballot = yield from self._asked(branch, "branch.prepare", branch.seal, body)
        alone = branch.alone or branch.kind.mode is not Mode.XA
        if ballot == NO_ABORTED and alone and self.rules.buries_before_no:
            return (yield from self._refused(branch))
        return ballot

    def _asked(self, branch: Branch, name: str, act: Any, body: Vote) -> Steps:
        try:
            return (yield (branch.place, name, act, (body,)))
        except Lost:
            if self.rules.casts_lost_votes:
                return YES
            raise

    def last(self, work: Claimed, others: Cast) -> Steps:
        """A last agent, once its turn has come: True if it decided, else its ballot.

        Its work, its vote, those of `others` and the outcome are one commit.
        """
        branch = work.branch
        if work.late:
            return (yield from self._too_late(branch))
        found = yield (branch.place, "branch.enter", branch.enter, ())
        if found is not Local.IDLE:
            return NO_ABORTED if found is Local.TOMBSTONE else YES
        body = yield from self._body(work)
        try:
            return (yield (branch.place, "branch.commit", self._commit, (branch, body, others)))
        except Refused:
            return NO_ABORTED

    def _commit(self, branch: Branch, body: Vote, others: Cast) -> object:
        branch.require_session()
        if body is not Vote.YES:
            return branch.keep(body)
        ballot = YES if branch.signed else YES_COMMITTED
        if not self.rules.casts_last_with_work:
            return branch.keep_committed(body)
        standing = self.rows.vote((*others, (branch.seq, ballot)))
        if standing is None or not (standing[1] or self.rules.sends_last_early):
            raise Refused
        branch.keep_committed(body)
        return standing

    def _body(self, work: Claimed) -> Generator[Request | int, Any, Vote]:
        """Run the body: it takes its time, and is refused when that is up."""
        yield 1 + self.sim.chance.below(BODY_US)
        if self.sim.now_us - work.claimed_at_us >= work.left_us:
            return Vote.NO
        branch = work.branch
        if branch.body is Vote.YES and branch.refuses and self.sim.chance.percent(branch.refuses):
            return Vote.NO
        return branch.body

    def _too_late(self, branch: Branch) -> Steps:
        if not self.rules.asks_witness_when_late:
            return NO_ABORTED
        if branch.alone:
            return (yield from self._settled(branch))
        if branch.kind.mode is not Mode.XA:
            return NO
        prepared = yield (branch.place, "branch.look", branch.is_prepared, ())
        return YES if prepared else NO

    def _given_up(self, branch: Branch) -> Steps:
        if not self.rules.looks_before_giving_up:
            return NO_ABORTED
        if branch.kind.mode is not Mode.XA or branch.alone:
            return (yield from self._settled(branch))
        if (yield (branch.place, "branch.look", branch.is_prepared, ())):
            return YES
        return (yield from self._settled(branch))

    def _settled(self, branch: Branch) -> Steps:
        """See that what is not committed or reserved never will be."""
        found = yield (branch.place, "branch.bury", branch.bury, ())
        return NO_ABORTED if found is Local.TOMBSTONE else YES

    def _refused(self, branch: Branch) -> Steps:
        """After a no of the body: a repeated message must not do what this no has refused."""
        found = yield (branch.place, "branch.bury", branch.bury, ())
        if found is Local.TOMBSTONE:
            return NO_ABORTED
        # Another attempt did it: what stands is told, what is held will be cancelled.
        return YES if branch.alone else NO
