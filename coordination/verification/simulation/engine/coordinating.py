"""What coordinators do, in any process: after `runner.py`, `together.py` and `finishing.py`."""

from collections.abc import Generator, Sequence
from typing import Any

from coordination.transactions.engine import Continue, Decide, Send
from coordination.transactions.machine import Local
from coordination.transactions.types import Actual, Form, Mode, Outcome, Phase
from coordination.verification.simulation.engine.answering import Answering, Claimed, Steps
from coordination.verification.simulation.engine.book import BALLOTS, NO, NO_ABORTED, YES, Cast
from coordination.verification.simulation.engine.branch import Branch, Busy
from coordination.verification.simulation.engine.broker import CONTINUATION, Broker
from coordination.verification.simulation.engine.rows import Rows, View
from coordination.verification.simulation.engine.rules import Rules
from coordination.verification.simulation.processes import Lost, Process, Request
from coordination.verification.simulation.scheduler import Simulation

CALLER = ("caller",)
PEER = "p"
"""A node whose workers reach the databases of its own branches alone."""
WORKERS = {
    (phase, node): (f"{phase} {node}1", f"{phase} {node}2")
    for phase in Phase
    for node in ("a", "b", PEER)
}
"""Two of each: of two deliveries of one message, one can be stopped while the other goes on."""
Standing = tuple[Outcome | None, bool] | None
"""The register, and whether it was set by this call; None: there are no such rows."""
Brief = tuple[Outcome | None, int]
"""The outcome and the time left, as they were when the message was sent."""
Message = tuple[Phase, tuple[int, ...], Brief | None]
"""What is asked for, of which branches. The rest is in the rows; a peer, who does not reach them,
is told by a brief."""


class Coordinating:
    """The steps of coordinators over one transaction's rows and branches.

    `nodes` are the branches' nodes by seq.
    """

    ends_overtaken = True
    """A message to prepare ends a branch that was decided meanwhile."""

    def __init__(
        self,
        sim: Simulation,
        rules: Rules,
        rows: Rows,
        broker: Broker,
        branches: Sequence[Branch],
        nodes: Sequence[str],
        *,
        bundled: bool,
    ) -> None:
        self.sim, self.rules, self.rows, self.broker = sim, rules, rows, broker
        self.branches, self.nodes, self.bundled = branches, nodes, bundled
        self.answering = Answering(sim, rules, rows)

    # The register

    def asked(self, name: str, act: Any, *args: Any) -> Steps:
        """A statement at the rows, once more if its reply was lost. Raises Lost."""
        try:
            return (yield (self.rows.place, name, act, args))
        except Lost:
            return (yield (self.rows.place, name, act, args))

    def decide(self, process: Process, outcome: Outcome) -> Steps:
        """Ask the register for its `Standing`, and tell the caller if this call set it."""
        standing = yield from self.asked("tx.decide", self.rows.decide, outcome)
        self._told(process, standing if self.rules.tells_by_register else (outcome, True))
        if not self.rules.finishes_by_register:
            yield from self.conclude([branch.seq for branch in self.branches], outcome)
        return standing

    def cast(self, process: Process, cast: Cast) -> Steps:
        """Record votes and tell the caller if they decided; the `Standing`."""
        if not self.rules.tells_after_vote and all(
            b.local is Local.PREPARED for b in self.branches
        ):
            self._told(process, (Outcome.COMMITTED, True))
        standing = yield from self.asked("branch.vote", self.rows.vote, cast)
        self._told(process, standing)
        return standing

    def _told(self, process: Process, standing: Standing) -> None:
        if standing is not None and standing[1]:
            self.sim.send(process.name, CALLER, standing[0], f"it is {standing[0]}")

    # What is next

    def advance(self, process: Process, *, skip: Sequence[int] = (), here: str = "") -> Steps:
        """Do what is next; `here` is the node whose prepared branches are ended in this process."""
        view: View | None = yield from self.asked("tx.snapshot", self.rows.snapshot)
        if view is None:
            return
        outcome = view.facts.outcome
        ending: list[int] = []
        sending: list[tuple[Phase, int]] = []
        for effect in view.effects:
            if isinstance(effect, Decide):
                standing = yield from self.decide(process, effect.outcome)
                if standing is not None and standing[0] is not None:
                    yield from self.advance(process, skip=skip, here=here)
                return
            if isinstance(effect, Continue):
                yield from self._continue()
            elif isinstance(effect, Send) and effect.seq not in skip:
                branch = self.branches[effect.seq - 1]
                ours = here == self.nodes[effect.seq - 1] and branch.kind.mode is Mode.XA
                if effect.phase is Phase.FINISH and ours:
                    ending.append(effect.seq)
                else:
                    sending.append((effect.phase, effect.seq))
        self._send(process, sending, (outcome, view.left_us))
        if ending and outcome is not None:
            yield from self.conclude(ending, outcome)

    def _continue(self) -> Steps:
        """Start the continuation, then record that it was started: at least once."""
        if not self.rules.starts_before_record:
            yield from self.asked("tx.continued", self.rows.continued)
        try:
            yield (self.broker.place, "then.start", self.broker.start, (CONTINUATION,))
        except Lost:
            return
        if self.rules.starts_before_record:
            yield from self.asked("tx.continued", self.rows.continued)

    def send_first(self, process: Process, seqs: Sequence[int], deadline_us: int) -> None:
        """Ask branches that live elsewhere to prepare."""
        self._send(process, [(Phase.PREPARE, seq) for seq in seqs], (None, deadline_us))

    def _send(self, process: Process, wanted: Sequence[tuple[Phase, int]], brief: Brief) -> None:
        bundles: dict[tuple[Phase, str, int], list[int]] = {}
        for phase, seq in wanted:
            key = (phase, self.nodes[seq - 1], 0 if self.bundled else seq)
            bundles.setdefault(key, []).append(seq)
        for (phase, node, _), seqs in bundles.items():
            message: Message = (phase, tuple(seqs), brief if node == PEER else None)
            words = f"{phase} {'+'.join(map(str, seqs))}" if self.sim.tracing else ""
            self.sim.send(process.name, WORKERS[phase, node], message, words)

    # Voting

    def vote(self, process: Process, works: Sequence[Claimed]) -> Steps:
        """Run branches and cast their votes; the ballots and how the transaction stands.

        Tries again at once when a connection was dead. Raises Busy or Lost; votes are cast then.
        """
        try:
            return (yield from self._vote(process, works))
        except Lost:
            return (yield from self._vote(process, works))

    def _vote(self, process: Process, works: Sequence[Claimed]) -> Steps:
        ballots: list[tuple[int, str]] = []
        standing: Standing = None
        try:
            for work in sorted(works, key=lambda work: work.branch.kind.form is Form.LAST):
                if work.branch.kind.form is Form.LAST:
                    ballot = yield from self.answering.last(work, tuple(ballots))
                    if not isinstance(ballot, str):
                        self._told(process, ballot)
                        return ballots, ballot
                else:
                    ballot = yield from self.answering.answer(work)
                ballots.append((work.branch.seq, ballot))
                if ballot in (NO, NO_ABORTED):
                    break
        except (Busy, Lost) as error:
            if isinstance(error, Busy) and self.rules.turned_away_is_no:
                ballots.append((work.branch.seq, NO_ABORTED))
            if ballots:
                yield from self.cast(process, tuple(ballots))
            raise
        if ballots[-1][1] in (NO, NO_ABORTED):
            voted = {seq for seq, _ in ballots}
            ballots += [
                (work.branch.seq, self._unrun(work))
                for work in works
                if work.branch.seq not in voted
            ]
        standing = yield from self.cast(process, tuple(ballots))
        return ballots, standing

    def _unrun(self, work: Claimed) -> str:
        """The no of a branch that was not run, which is its end where nothing can be left of it."""
        if work.branch.kind.mode is not Mode.XA and self.rules.ends_unrun:
            return NO
        return NO_ABORTED if work.attempt == 1 else NO

    def follow(
        self, process: Process, ballots: Sequence[tuple[int, str]], standing: Standing, here: str
    ) -> Steps:
        """After the decision: see to the branches of others, and end one's own."""
        unended = [seq for seq, ballot in ballots if BALLOTS[ballot][1] is None]
        if self.rules.finishes_on_own_vote and ballots and ballots[0][1] == YES:
            yield from self.end(self.branches[ballots[0][0] - 1], Outcome.COMMITTED)
        if self.rules.records_on_own_vote and ballots and ballots[0][1] == YES:
            yield from self._recorded(((ballots[0][0], Actual.COMMITTED),))
        if standing is None or standing[0] is None:
            return
        if standing[1]:
            yield from self.advance(process, skip=unended, here=here)
        if unended:
            yield from self.conclude(unended, standing[0])

    # What a process does with the branches that it is asked for

    def run_inline(self, process: Process, works: Sequence[Claimed]) -> Steps:
        """The caller's own branches; how the transaction stands then. Raises Busy or Lost."""
        ballots, standing = yield from self.vote(process, works)
        if not self.rules.begins_before_prepare:
            yield from self.asked("tx.begin", self.rows.begin, works[0].left_us)
        yield from self.follow(process, ballots, standing, "")
        return standing

    def prepare_here(self, process: Process, works: Sequence[Claimed], node: str) -> Steps:
        """Branches whose votes are missing, by a worker of `node`."""
        try:
            ballots, standing = yield from self.vote(process, works)
        except Busy:
            return
        yield from self.follow(process, ballots, standing, node)

    def finish_here(
        self, process: Process, seqs: Sequence[int], outcome: Outcome, node: str
    ) -> Steps:
        """Branches that are decided and not ended, by a worker of `node`."""
        del process, node
        yield from self.conclude(seqs, outcome)

    def tell_here(self, process: Process, phase: Phase, seqs: Sequence[int], node: str) -> Steps:
        """Branches that are told something between their votes and the outcome: of two-phase
        commit nothing, and a finish that comes before the decision is none."""
        del process, phase, seqs, node
        yield from ()

    # Ending

    def conclude(self, seqs: Sequence[int], outcome: Outcome) -> Steps:
        """End branches as decided and record those that did; others are noted, to be retried."""
        if not self.rules.finishes_before_ack:
            word = Actual(outcome.value)
            yield from self._recorded(tuple([(seq, word) for seq in seqs]))
        results: list[tuple[int, Actual]] = []
        delayed: list[int] = []
        for seq in seqs:
            try:
                results.append((seq, (yield from self.end(self.branches[seq - 1], outcome))))
            except (Busy, Lost):
                delayed.append(seq)
        if delayed:
            wait_us = self.sim.chance.below(1 << 40)
            yield from self.asked("branch.delayed", self.rows.delay, tuple(delayed), wait_us)
        if results:
            yield from self._recorded(tuple(results))
        if self.rules.signs_after_ack:
            for seq, actual in results:
                if self.branches[seq - 1].signed and actual is Actual.COMMITTED:
                    yield (self.broker.place, "after.start", self.broker.start, (seq,))

    def _recorded(self, results: tuple[tuple[int, Actual], ...]) -> Steps:
        # Not waited for, and not repeated: until it is known, branches are finished once more.
        yield (self.rows.place, "branch.ack", self.rows.finish, (results,))

    def end(self, branch: Branch, outcome: Outcome) -> Generator[Request | int, Any, Actual]:
        """End a branch in its own database, and start what it left for then.

        Raises Busy or Lost.
        """
        if branch.signed and self.rules.signs_before_commit:
            yield (self.broker.place, "after.start", self.broker.start, (branch.seq,))
        actual = yield from self.end_alone(branch, outcome)
        if branch.signed and actual is Actual.COMMITTED and not self.rules.signs_after_ack:
            yield (self.broker.place, "after.start", self.broker.start, (branch.seq,))
        return actual

    def end_without_rows(self, branch: Branch) -> Steps:
        """End what was left prepared though the rows cannot be read: not where they decide."""
        del branch
        yield from ()

    def end_alone(self, branch: Branch, outcome: Outcome) -> Generator[Request | int, Any, Actual]:
        """End a branch in its own database and do nothing else. Raises Busy or Lost."""
        actual = yield (branch.place, "branch.finish", branch.end, (outcome,))
        if actual is None:
            actual = yield (branch.place, "branch.bury", branch.bury_after_rollback, ())
        assert isinstance(actual, Actual)
        return actual
