"""Three-phase commit that finishes through the register: `3pc` of the engine."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from coordination.transactions import machine
from coordination.transactions.engine import Continue, Decide
from coordination.transactions.machine import Row
from coordination.transactions.types import Ballot, Mode, Outcome, Phase, Protocol, Snapshot
from coordination.verification.simulation.engine.answering import Steps
from coordination.verification.simulation.engine.book import BALLOTS, Book
from coordination.verification.simulation.engine.branch import Branch
from coordination.verification.simulation.engine.coordinating import Coordinating, Standing
from coordination.verification.simulation.engine.kinds import Shape
from coordination.verification.simulation.engine.rows import Rows, View
from coordination.verification.simulation.engine.rules import Rules
from coordination.verification.simulation.engine.world import EngineWorld
from coordination.verification.simulation.faults import FaultKind
from coordination.verification.simulation.processes import Lost, Process
from coordination.verification.simulation.protocols.two_phase import TCC, XA, TwoPhase

SHAPES = (Shape((XA, XA)), Shape((XA, TCC)), Shape((XA, XA, XA)), Shape((TCC, TCC)))
NOTED = 16
"""Where the bits of the branches that are pre-committed begin, among those that are due."""


class ThreePhaseRules(Rules):
    """Votes do not commit by themselves: everybody is told of them first (`concord_vote`)."""

    def record_votes(self, row: Row, ballots: tuple[Ballot, ...]) -> Row:
        """As the reference, but for the commit."""
        after = machine.record_votes(row, ballots)
        if row.outcome is None and after.outcome is Outcome.COMMITTED:
            return replace(after, outcome=None)
        return after


class ThreePhaseBook(Book):
    """Rows that say which branches are pre-committed."""

    def snapshot(self, row: int, *, expired: bool, continue_due: bool, due: int) -> Snapshot:
        """The rows as the engine has them."""
        found = super().snapshot(row, expired=expired, continue_due=continue_due, due=due)
        branches = tuple(
            [
                replace(branch, precommitted=bool(due >> (NOTED + branch.seq) & 1))
                for branch in found.branches
            ]
        )
        return replace(found, branches=branches)


class NotedRows(Rows):
    """`noted` are the branches that know of all votes, as bits; a power cut may take it back."""

    noted = 0

    def precommitted(self, seqs: tuple[int, ...]) -> Outcome | None:
        """Record that participants know that every vote is yes; the register."""
        if self.row >= 0 and self.outcome is None and not self.facts.pending:
            for seq in seqs:
                self.noted |= 1 << seq
            self._unflushed()
        return self.outcome

    def snapshot(self) -> View | None:
        """What the engine wants now."""
        view = super().snapshot()
        if view is None:
            return None
        due = sum(1 << seq for seq in range(1, len(self.book.kinds) + 1) if self._due(seq))
        effects = self.book.effects(
            self.row,
            expired=view.left_us <= 0,
            continue_due=self.continue_due,
            due=due | self.noted << NOTED,
        )
        return replace(view, effects=effects)

    def _due(self, seq: int) -> bool:
        return self._retry_at_us[seq] <= self.now_us

    def _lose(self) -> None:
        super()._lose()
        self.noted = 0


class Noted(Branch):
    """A branch that can note, in its own database, that every vote is yes."""

    __slots__ = ("noted",)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.noted = False

    def note(self) -> None:
        """Note it."""
        self.noted = True


class Telling(Coordinating):
    """Tells participants of the votes before the outcome is asked for: after `runner.py`."""

    rows: NotedRows

    def advance(self, process: Process, *, skip: Collection[int] = (), here: str = "") -> Steps:
        """Do what is next."""
        view: View | None = yield from self.asked("tx.snapshot", self.rows.snapshot)
        if view is None:
            return
        outcome = view.facts.outcome
        ending: list[int] = []
        telling: list[int] = []
        sending: list[tuple[Phase, int]] = []
        for effect in view.effects:
            if isinstance(effect, Decide):
                standing = yield from self.decide(process, effect.outcome)
                if standing is not None and standing[0] is not None:
                    yield from self.advance(process, skip=skip, here=here)
                return
            if isinstance(effect, Continue):
                yield from self._continue()
            elif effect.phase is Phase.PRECOMMIT and self._ours(process, effect.seq):
                telling.append(effect.seq)
            elif effect.phase is Phase.PRECOMMIT or effect.seq not in skip:
                ours = here == self.nodes[effect.seq - 1]
                xa = self.branches[effect.seq - 1].kind.mode is Mode.XA
                if effect.phase is Phase.FINISH and ours and xa:
                    ending.append(effect.seq)
                else:
                    sending.append((effect.phase, effect.seq))
        self._send(process, sending, (outcome, view.left_us))
        if ending and outcome is not None:
            yield from self.conclude(ending, outcome)
        if telling and (yield from self._told_all(telling)):
            yield from self.advance(process, skip=skip, here=here)

    def _ours(self, process: Process, seq: int) -> bool:
        """Whether the process is of the branch's node; callers and sweepers are of node a."""
        node = process.name[-2] if process.name[-1].isdigit() and process.name[-2] in "ab" else "a"
        return self.nodes[seq - 1] == node

    def _told_all(self, seqs: Sequence[int]) -> Steps:
        known: list[int] = []
        for seq in seqs:
            branch = self.branches[seq - 1]
            assert isinstance(branch, Noted)
            try:
                yield (branch.place, "branch.precommit", branch.note, ())
            except Lost:
                continue
            known.append(seq)
        if not known:
            return False
        yield from self.asked("tx.precommitted", self.rows.precommitted, tuple(known))
        return True

    def tell_here(self, process: Process, phase: Phase, seqs: Sequence[int], node: str) -> Steps:
        """Note that every vote is yes, and go on."""
        if phase is Phase.PRECOMMIT and (yield from self._told_all(seqs)):
            yield from self.advance(process, here=node)

    def follow(
        self, process: Process, ballots: Sequence[tuple[int, str]], standing: Standing, here: str
    ) -> Steps:
        """Before the decision: tell of the votes; after it, end one's own."""
        if standing is not None and standing[0] is None:
            own = [seq for seq, ballot in ballots if BALLOTS[ballot][1] is None]
            yield from self.advance(process, skip=own, here=here)
            standing = ((yield from self.asked("tx.standing", self.rows.standing)), False)
        yield from super().follow(process, ballots, standing, here)


class ThreePhaseWorld(EngineWorld):
    """One transaction in three phases."""

    phases = tuple(Phase)

    coordinating = Telling
    branch = Noted
    keeping = NotedRows


class ThreePhase(TwoPhase):
    """Adapter of `3pc`."""

    name = "3pc"
    protocol = Protocol.THREE_PHASE
    book = ThreePhaseBook
    world = ThreePhaseWorld

    def __init__(
        self,
        kinds: tuple[FaultKind, ...] | None = None,
        *,
        rules: Rules | None = None,
        shapes: tuple[Shape, ...] = SHAPES,
    ) -> None:
        super().__init__(kinds, rules=rules or ThreePhaseRules(), shapes=shapes)
