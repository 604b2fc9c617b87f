"""Who acts: the caller, workers that reach the rows, sweepers, an operator who cancels."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from coordination.transactions.machine import Local
from coordination.transactions.types import Mode, Outcome, Phase
from coordination.verification.simulation.engine.answering import Claimed, Steps
from coordination.verification.simulation.engine.branch import Branch, Busy
from coordination.verification.simulation.engine.coordinating import PEER, Coordinating, Message
from coordination.verification.simulation.engine.rows import View
from coordination.verification.simulation.events import EventKind
from coordination.verification.simulation.processes import Lost, Process

OVERTAKEN_US = (2_000, 50_000, 100_000)
"""How a message waits for its rows."""
POLL_US = 1_000_000
ORPHANS_EVERY_US = 5_000_000
ORPHAN_AGE_US = 10_000_000


class Caller:
    """Begins the transaction, runs branches in its own process, and waits to be told.

    With `redelivered` it is a worker whose message comes again if it dies, else it dies for good.
    """

    def __init__(
        self,
        doing: Coordinating,
        *,
        inline: Sequence[int],
        elsewhere: Sequence[int],
        deadline_us: int,
        redelivered: bool,
    ) -> None:
        self.doing, self.sim = doing, doing.sim
        self.inline, self.elsewhere = inline, elsewhere
        self.deadline_us = deadline_us
        self.redelivered = redelivered
        self.told: list[Outcome] = []
        self.process = Process("caller", self._receive, keeps=redelivered)
        self.sim.processes["caller"] = self.process

    def begin(self) -> None:
        """Start."""
        message = "begin" if self.redelivered else None
        self.sim.start(self.process, self._submit(), message)

    def _receive(self, message: Any) -> None:
        if message == "begin":
            self.begin()
        elif isinstance(message, Outcome):
            self._learn(message)

    def _learn(self, outcome: Outcome) -> None:
        self.told.append(outcome)
        self.sim.changed = True
        if self.sim.tracing:
            self.sim.note(EventKind.TOLD, "caller", f"is told: {outcome}")

    def _submit(self) -> Steps:
        doing, rules = self.doing, self.doing.rules
        rows, process = doing.rows, self.process
        near = [seq for seq in self.elsewhere if doing.nodes[seq - 1] != PEER]
        peers = [seq for seq in self.elsewhere if doing.nodes[seq - 1] == PEER]
        early = self.sim.chance.percent(50)
        if early:
            doing.send_first(process, near, self.deadline_us)  # may overtake the rows
        if rules.begins_before_prepare:
            yield from doing.asked("tx.begin", rows.begin, self.deadline_us)
        doing.send_first(process, peers if early else self.elsewhere, self.deadline_us)
        if self.inline:
            with suppress(Busy, Lost):  # it goes on without its caller
                yield from self._run_inline()
        yield from self._wait()

    def _run_inline(self) -> Steps:
        doing = self.doing
        works = [
            Claimed(doing.branches[seq - 1], self.deadline_us, 1, self.sim.now_us)
            for seq in self.inline
        ]
        standing = yield from doing.run_inline(self.process, works)
        if standing is not None and standing[0] is not None:
            self._learn(standing[0])

    def _wait(self) -> Steps:
        until_us = self.sim.now_us + self.deadline_us + 2 * POLL_US
        while not self.told and self.sim.now_us < until_us:
            yield POLL_US
            if self.told:
                return
            try:
                outcome = yield (self.doing.rows.place, "tx.standing", self.doing.rows.standing, ())
            except Lost:
                continue
            if outcome is not None:
                self._learn(outcome)
        if not self.told and self.doing.rules.unknown_is_aborted:
            self._learn(Outcome.ABORTED)


class Worker:
    """One process that takes messages of a phase for a node."""

    def __init__(self, doing: Coordinating, name: str, node: str) -> None:
        self.doing, self.sim, self.node = doing, doing.sim, node
        self.process = Process(name, self._receive)
        self.sim.processes[name] = self.process

    def _receive(self, message: Message) -> None:
        self.sim.start(self.process, self._attempt(message), message)

    def _attempt(self, message: Message) -> Steps:
        doing, (phase, seqs, _) = self.doing, message
        claimed = yield from doing.asked("branch.claim", doing.rows.claim, seqs)
        for pause_us in OVERTAKEN_US:
            if claimed is not None:
                break
            yield pause_us
            claimed = yield from doing.asked("branch.claim", doing.rows.claim, seqs)
        if claimed is None:
            return
        facts, left_us, attempts = claimed
        if facts.outcome is not None:
            if phase is Phase.PREPARE and not doing.ends_overtaken:
                return
            unended = [seq for seq in seqs if facts.actuals[seq - 1] is None]
            if unended:
                yield from doing.finish_here(self.process, unended, facts.outcome, self.node)
            return
        if phase is not Phase.PREPARE:
            yield from doing.tell_here(self.process, phase, seqs, self.node)
            return
        works = [
            Claimed(doing.branches[seq - 1], left_us, attempts[seq], self.sim.now_us)
            for seq in seqs
            if facts.votes[seq - 1] is None
        ]
        if works:
            yield from doing.prepare_here(self.process, works, self.node)


class Sweeper:
    """Brings forward what is due, and ends what was left prepared. Its own clock may be off.

    It does not look while nothing can be due: such a look would find and change nothing.
    """

    def __init__(self, doing: Coordinating, number: int, idle_us: int) -> None:
        self.doing, self.sim, self._idle_us = doing, doing.sim, idle_us
        self.name = f"sweeper {number}"
        self.process = Process(self.name, _nothing, keeps=False)
        self.process.boot = self._booted
        self.sim.processes[self.name] = self.process
        self._next_us: int | None = None
        self._orphans_armed = False

    def rang(self, due_us: int) -> None:
        """Be told when something will be due next."""
        at_us = max(due_us, self.sim.now_us) + self.sim.chance.below(self._idle_us)
        if self._next_us is None or at_us < self._next_us or self._next_us <= self.sim.now_us:
            self._next_us = at_us
            self.sim.at(at_us, self._look, at_us)

    def prepared(self, branch: Branch) -> None:
        """Be told that something is prepared, which may be left so."""
        if not self._orphans_armed and self.doing.rules.orphan_sweep:
            self._orphans_armed = True
            prepared_us = branch.prepared_at_us - branch.place.offset_us
            wait_us = ORPHAN_AGE_US + self.sim.chance.below(ORPHANS_EVERY_US)
            self.sim.at(max(prepared_us + wait_us, self.sim.now_us), self._look_for_orphans)

    def _booted(self) -> None:
        self._next_us = None
        self._rearm()

    def _rearm(self) -> None:
        due_us = self.doing.rows.due_us
        if due_us is not None:
            self.rang(due_us)

    def _look(self, at_us: int) -> None:
        if at_us == self._next_us and self.process.up:
            self._next_us = None
            self.sim.start(self.process, self._sweep())

    def _sweep(self) -> Steps:
        doing = self.doing
        share = self.sim.chance.below(1 << 40)
        try:
            leased = yield from doing.asked("sweep.lease", doing.rows.lease, share)
            if leased:
                yield from doing.advance(self.process)
        except Lost:
            yield self._idle_us
        self._rearm()

    def _look_for_orphans(self) -> None:
        self._orphans_armed = False
        branches = zip(self.doing.branches, self.doing.nodes, strict=True)
        left = [branch for branch, node in branches if _left(branch) and node != PEER]
        if left:
            if self.process.up:
                self.sim.start(self.process, self._sweep_orphans(left))
            self._orphans_armed = True
            self.sim.at(self.sim.now_us + ORPHANS_EVERY_US, self._look_for_orphans)

    def _sweep_orphans(self, left: Sequence[Branch]) -> Steps:
        doing = self.doing
        for branch in left:
            look = (branch.place, "orphan.look", branch.is_left_prepared, (ORPHAN_AGE_US,))
            if not (yield look):
                continue
            try:
                view: View | None = yield from doing.asked("tx.snapshot", doing.rows.snapshot)
            except Lost:
                yield from doing.end_without_rows(branch)
                continue
            if view is None:
                continue
            outcome = view.facts.outcome
            if outcome is None and not doing.rules.orphans_need_outcome:
                outcome = Outcome.ABORTED
            if not (yield look) or outcome is None:
                continue
            try:
                if view.facts.actuals[branch.seq - 1] is None:
                    yield from doing.conclude([branch.seq], outcome)
                else:
                    yield from doing.end_alone(branch, outcome)
            except (Busy, Lost):
                continue


class Operator:
    """Somebody who asks for an abort, at any time."""

    def __init__(self, doing: Coordinating) -> None:
        self.doing, self.sim = doing, doing.sim
        self.process = Process("operator", _nothing, keeps=False)
        self.sim.processes["operator"] = self.process

    def cancel(self) -> None:
        """Ask the register for an abort and see to what follows."""
        self.sim.start(self.process, self._cancel())

    def _cancel(self) -> Steps:
        standing = yield from self.doing.decide(self.process, Outcome.ABORTED)
        if standing is not None and standing[1]:
            yield from self.doing.advance(self.process)


def _left(branch: Branch) -> bool:
    return branch.local is Local.PREPARED and branch.kind.mode is Mode.XA


def _nothing(_message: Any) -> None:
    """What a process does with messages that are not for it."""
