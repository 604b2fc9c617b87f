"""A transaction of the engine with all that surrounds it, drawn from a seed."""

from collections.abc import Hashable

from coordination.transactions.machine import Local
from coordination.transactions.types import Form, Mode, Outcome, Phase, Vote
from coordination.verification.simulation.chance import Chance
from coordination.verification.simulation.engine.actors import Caller, Operator, Sweeper, Worker
from coordination.verification.simulation.engine.book import Book, Facts
from coordination.verification.simulation.engine.branch import Branch
from coordination.verification.simulation.engine.broker import Broker
from coordination.verification.simulation.engine.coordinating import PEER, WORKERS, Coordinating
from coordination.verification.simulation.engine.kinds import Kind
from coordination.verification.simulation.engine.peers import DECIDERS, Decider, PeerWorker
from coordination.verification.simulation.engine.promises import broken_in, unkept_at_the_end
from coordination.verification.simulation.engine.rows import Rows
from coordination.verification.simulation.processes import Place
from coordination.verification.simulation.scheduler import Simulation

DEADLINES_US = (100_000, 2_000_000, 10_000_000)
PATIENCES_US = (10_000, 50_000, 2_000_000)
"""How long a sweeper leaves a transaction to those who began it: `PATIENCE` of the settings."""
IDLE_US = (5_000, 5_000, 500_000)
"""The pause of sweepers that have found nothing."""
REFUSES_PERCENT = (0, 3, 40, 60)


class EngineWorld:
    """One transaction under the real `step`.

    A protocol that adds to the engine overrides `coordinating`, how its coordinators vote, decide
    and go on; `branch` and `keeping`, what a branch is in its own database and what the rows are;
    `look`, what must hold in a state; and, where the row is not the register, `outcome` and
    `elsewhere`.
    """

    phases: tuple[Phase, ...] = (Phase.PREPARE, Phase.FINISH)
    """What workers are there for."""

    coordinating: type[Coordinating] = Coordinating
    branch: type[Branch] = Branch
    keeping: type[Rows] = Rows

    def __init__(
        self, sim: Simulation, chance: Chance, book: Book, *, inline: bool, peers: bool = False
    ) -> None:
        self.sim, self.book, self.rules = sim, book, book.rules
        deadline_us = chance.pick(DEADLINES_US)
        self.continues = chance.percent(20)
        rows = self.rows = self.keeping(
            sim, book, deadline_us=deadline_us, continues=self.continues
        )
        self.broker = Broker(sim)
        rows.patience_us = chance.pick(PATIENCES_US)
        self.branches = [
            self.branch(sim, book.rules, seq, kind, self._place(seq, kind))
            for seq, kind in enumerate(book.kinds, 1)
        ]
        self._draw_work(chance)
        apart = chance.percent(40)
        nodes = ["b" if apart and seq % 2 else "a" for seq in range(len(self.branches))]
        if peers:
            nodes = [PEER if chance.percent(60) else node for node in nodes]
        doing = self.coordinating(
            sim, book.rules, rows, self.broker, self.branches, nodes, bundled=chance.percent(60)
        )
        seqs = list(range(1, len(self.branches) + 1))
        near = [seq for seq in seqs if nodes[seq - 1] != PEER]
        here = near if inline else [seq for seq in near if chance.percent(35)]
        self.caller = Caller(
            doing,
            inline=here,
            elsewhere=[seq for seq in seqs if seq not in here],
            deadline_us=deadline_us,
            redelivered=chance.percent(40),
        )
        for node in sorted(set(nodes)):
            for phase in self.phases:
                for name in WORKERS[phase, node]:
                    if node == PEER:
                        PeerWorker(doing, name)
                    else:
                        Worker(doing, name, node)
        if PEER in nodes:
            for name in DECIDERS:
                Decider(doing, name)
        idle_us = chance.pick(IDLE_US)
        self.sweepers = [Sweeper(doing, number, idle_us) for number in (1, 2)]
        rows.rang = self._rang
        self._begin(chance, doing)

    def _place(self, seq: int, kind: Kind) -> Place:
        if kind.form is Form.LAST:
            return self.rows.place
        place = Place(f"database {seq}")
        self.sim.places[place.name] = place
        return place

    def _draw_work(self, chance: Chance) -> None:
        writers = []
        refuses, signed = chance.pick(REFUSES_PERCENT), chance.percent(25)
        for branch in self.branches:
            branch.refuses = refuses
            branch.signed = signed and chance.percent(50)
            share = chance.below(100)
            if share < 8 and branch.kind.mode is Mode.XA:
                branch.body = Vote.READ_ONLY
                continue
            branch.body = Vote.NO if share >= 94 else Vote.YES
            writers.append(branch)
        if len(writers) > 1:
            for branch in writers[1:]:
                branch.amount = 10 * branch.seq
            writers[0].amount = -sum(branch.amount for branch in writers)

    def _begin(self, chance: Chance, doing: Coordinating) -> None:
        self.sim.at(chance.below(1_000), self.caller.begin)
        if chance.percent(20):
            self.sim.at(chance.below(40_000), Operator(doing).cancel)
        if not self.rules.waits_for_register:
            for branch in self.branches:
                self.sim.at(3_000_000, branch.give_up_waiting)

    def _rang(self, at_us: int) -> None:
        for sweeper in self.sweepers:
            sweeper.rang(at_us)

    # World

    def broken(self) -> str | None:
        """The first promise that does not hold now."""
        rows = self.rows
        if rows.fault is not None:
            return rows.fault
        outcome = self.outcome()
        for told in self.caller.told:
            if told is not outcome:
                return f"told {told} while the register says {outcome or 'nothing'}"
        key: list[object] = [rows.row, self.elsewhere()]
        for branch in self.branches:
            key.append(branch.signature)
            if branch.local is Local.PREPARED:
                for sweeper in self.sweepers:
                    sweeper.prepared(branch)
        facts = None if rows.row < 0 else rows.facts
        return self.book.found(tuple(key), lambda: self.look(facts))

    def outcome(self) -> Outcome | None:
        """What is decided."""
        return self.rows.outcome

    def elsewhere(self) -> Hashable:
        """What promises are about besides rows and branches: registers that are not the row's."""
        return None

    def look(self, facts: Facts | None) -> str | None:
        """The first promise that a state breaks; asked once of each state of rows and branches."""
        return broken_in(facts, self.branches)

    def done(self) -> bool:
        """Whether the transaction has ended and nothing is left prepared."""
        rows = self.rows
        if rows.row < 0:
            # Nobody has begun it, or ever will: the caller died before.
            return not self.caller.process.tasks and self.caller.process.up
        if not rows.ended or any(branch.local is Local.PREPARED for branch in self.branches):
            return False
        self.sim.broken = unkept_at_the_end(
            rows.facts, self.branches, self.broker.started, continues=self.continues
        )
        return self.sim.broken is None

    def missing(self) -> str:
        """What keeps it from its end."""
        rows = self.rows
        states = ", ".join(f"{branch.where} {branch.local}" for branch in self.branches)
        if rows.row < 0:
            return f"it has not begun: {states}"
        facts = rows.facts
        due = ", the continuation is due" if rows.continue_due else ""
        return (
            f"register {facts.outcome or 'open'}, {facts.pending} votes missing, "
            f"{facts.unfinished} branches unfinished{due}; {states}"
        )

    def end_by_hand(self, place: str, *, commit: bool) -> bool:
        """Let somebody end a prepared branch."""
        for branch in self.branches:
            if branch.place.name == place and branch.end_by_hand(commit=commit):
                on_record = self.rows.row >= 0 and self.rows.facts.actuals[branch.seq - 1]
                branch.foreign_orphan = bool(on_record)
                return True
        return False
