"""One process takes a saga as far as it can: step after step, as the engine orders them.

What lives elsewhere it asks for by message. Each process sees to what its own steps have made
possible, so that nobody is asked twice as a rule; what is lost on the way the sweeper asks for.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from coordination import conf
from coordination.exceptions import UnknownParticipant
from coordination.transactions import finishing, messages, runner, together
from coordination.transactions.branches.answer import NOT_NOW
from coordination.transactions.coordinator import store
from coordination.transactions.engine import Continue, Decide, Send, step
from coordination.transactions.participants import find, lookup
from coordination.transactions.together import Together
from coordination.transactions.types import BranchState, Phase, Snapshot, Standing, Work

logger = logging.getLogger(__name__)

Mine = Callable[[BranchState], bool]


def nobody(branch: BranchState) -> bool:
    """Run nothing here."""
    return False


def of_this_node(branch: BranchState) -> bool:
    """Run what is this node's, in a worker that has its code."""
    return branch.node == conf.current().node and find(branch.participant) is not None


def placed(work: Work) -> Work:
    """The work with this process's word for where and how it is done, if the rows have none."""
    if work.using:
        return work
    try:
        participant = lookup(work.participant)
    except UnknownParticipant:
        return work
    return replace(work, using=participant.using, mode=participant.mode)


@dataclass(slots=True, kw_only=True)
class Stepping:
    """A saga in the hands of one process.

    `changed` are the branches that it has voted for or ended. What is next to them may be possible
    now; with `afresh`, as after a decision, anything may.
    """

    gid: str
    mine: Mine
    at_hand: Mapping[int, Callable[[], Work]] = field(default_factory=dict)
    """First attempts at steps of this process, for which no row need be read."""
    changed: set[int] = field(default_factory=set)
    afresh: bool = False
    standing: Standing | None = None
    taken: set[Send] = field(default_factory=set)

    def go_on(self) -> Standing | None:
        """Do what is next until it is up to others; returns how the transaction stands then."""
        while not (self.standing and self.standing.ended) and self._round():
            pass
        if self.standing is None or self.standing.outcome is None:
            self.standing = store().standing(self.gid)
        return self.standing

    def _round(self) -> bool:
        """Do what one look at the rows shows; whether that has changed them."""
        changed, afresh, self.changed, self.afresh = self.changed, self.afresh, set(), False
        for snapshot in store().snapshots([self.gid]):
            sends: list[Send] = []
            for effect in step(snapshot):
                if isinstance(effect, Decide):
                    return self._decide(snapshot, effect)
                if isinstance(effect, Continue):
                    runner.continue_after(self.gid)
                elif afresh or _beside(snapshot, effect.seq, changed):
                    sends.append(effect)
            self._take(snapshot, [send for send in sends if send not in self.taken])
        return self.afresh or bool(self.changed)

    def _decide(self, snapshot: Snapshot, effect: Decide) -> bool:
        self.standing = runner.put_to_register(snapshot, effect)
        self.afresh = self.standing is not None and self.standing.outcome is not None
        return self.afresh

    def _take(self, snapshot: Snapshot, sends: Sequence[Send]) -> None:
        """Run what is to be run here, as much as goes into one message, and ask for the rest."""
        self.taken.update(sends)
        wanted = [(send, snapshot.branches[send.seq - 1]) for send in sends]
        here = [send for send, branch in wanted if self.mine(branch)]
        here = here[: conf.current().transactions.branches_per_message]
        others = [(send.phase, branch) for send, branch in wanted if send not in here]
        messages.send(snapshot, others, resend=False)
        if not here:
            return
        seqs = [send.seq for send in here]
        if here[0].phase is Phase.FINISH:
            self.finish([placed(work) for work in store().claim(self.gid, seqs)])
        elif all(seq in self.at_hand for seq in seqs):
            self.prepare([self.at_hand[seq]() for seq in seqs])
        else:
            self.prepare([placed(work) for work in store().claim(self.gid, seqs)])

    def prepare(self, works: Sequence[Work]) -> None:
        """Run steps and vote. One that cannot be run now is left to whoever asks again."""
        waiting = [work for work in works if work.vote is None and work.outcome is None]
        if not waiting:
            return
        run = Together(gid=self.gid, works=waiting)
        try:
            together.vote(run)
        except NOT_NOW as error:
            logger.warning("steps of %s not now: %s", self.gid, error)
        if run.standing is not None:
            self.standing = run.standing
            self.changed |= {ballot.seq for ballot in run.ballots}
            self.afresh = self.afresh or run.standing.decided_now

    def finish(self, works: Sequence[Work]) -> None:
        """End steps as decided."""
        unended = [work for work in works if work.actual is None and work.outcome is not None]
        if unended and unended[0].outcome is not None:
            results = finishing.conclude(unended, unended[0].outcome)
            self.changed |= {result.seq for result in results}


def _beside(snapshot: Snapshot, seq: int, changed: Collection[int]) -> bool:
    """Whether a branch is one of `changed`, or comes right before or after one."""
    if seq in changed or any(before in changed for before in snapshot.branches[seq - 1].after):
        return True
    return any(seq in snapshot.branches[other - 1].after for other in changed)
