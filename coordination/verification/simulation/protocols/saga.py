"""Sagas: steps in an order, with or without a pivot, each seen at once and compensated."""

from collections.abc import Collection, Sequence
from typing import Any

from coordination.transactions.engine import Continue, Decide, Send
from coordination.transactions.machine import BranchRow, Local
from coordination.transactions.types import (
    Actual,
    BranchState,
    Form,
    Mode,
    Outcome,
    Phase,
    Protocol,
    Vote,
)
from coordination.verification.simulation.chance import Chance
from coordination.verification.simulation.engine.answering import Claimed, Steps
from coordination.verification.simulation.engine.book import YES, Book, Facts
from coordination.verification.simulation.engine.branch import Branch, Busy
from coordination.verification.simulation.engine.coordinating import Coordinating
from coordination.verification.simulation.engine.kinds import Kind, Shape
from coordination.verification.simulation.engine.rows import View
from coordination.verification.simulation.engine.rules import Rules
from coordination.verification.simulation.engine.world import EngineWorld
from coordination.verification.simulation.faults import FaultKind
from coordination.verification.simulation.processes import Lost, Process
from coordination.verification.simulation.protocols.two_phase import TwoPhase

IN_FAVOUR = (Vote.YES, Vote.READ_ONLY)


def step(*after: int, form: Form = Form.PREPARE) -> Kind:
    """A step that comes after others."""
    return Kind(Mode.SAGA, form, after)


SHAPES = (
    Shape((step(), step(1))),
    Shape((step(), step(1), step(2))),
    Shape((step(), step(), step(1, 2))),
    Shape((step(), step(1), step(1))),
    Shape((step(), step(1, form=Form.PIVOT), step(2, form=Form.FORWARD))),
    Shape((step(), step(1, form=Form.PIVOT))),
    Shape((step(form=Form.PIVOT), step(1, form=Form.FORWARD), step(2, form=Form.FORWARD))),
)


class Step(Branch):
    """A step in its own database: what it has done is seen until it is compensated."""

    __slots__ = ("undone",)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.undone = 0

    @property
    def alone(self) -> bool:
        """A pivot's no may only be said once nothing can have been done."""
        return self.kind.form is Form.PIVOT

    def keep(self, body: Vote) -> str:
        """Act, with the barrier."""
        was = self.local
        ballot = super().keep(Vote.YES if body is Vote.READ_ONLY else body)
        if ballot == YES and was is Local.IDLE:
            self._count(1)
        return ballot

    def act(self) -> Actual:
        """What comes behind the pivot: do it, and be ended. Raises Lost."""
        if self.local is Local.IDLE:
            self.require_session()
            self._to(self.rules.finish(self.kind, Local.IDLE, Outcome.COMMITTED)[0])
            self._count(1)
        return Actual.COMMITTED

    def _end(self, outcome: Outcome) -> Actual:
        undoes = self.local is Local.DONE and outcome is Outcome.ABORTED
        actual = super()._end(outcome)
        if undoes and self.local is Local.TOMBSTONE:
            self.undone += 1
            self._count(-1)
        return actual

    def _count(self, change: int) -> None:
        self.applied += change
        if self.applied not in (0, 1):
            self.fault = f"its work is there {self.applied} times"
        self._to(self.local)
        self.signature += 128 * min(self.undone, 2)


class Stepping(Coordinating):
    """A process takes a saga as far as it can: after `stepping.py`."""

    ends_overtaken = False

    def run_inline(self, process: Process, works: Sequence[Claimed]) -> Steps:
        """The caller's own steps, in their order."""
        mine = {work.branch.seq for work in works}
        yield from self._go_on(process, mine, set(), afresh=True)
        return (yield from self.asked("tx.standing", self.rows.standing)), False

    def send_first(self, process: Process, seqs: Sequence[int], deadline_us: int) -> None:
        """Ask for the steps that come after nothing."""
        first = [seq for seq in seqs if not self.branches[seq - 1].kind.after]
        super().send_first(process, first, deadline_us)

    def prepare_here(self, process: Process, works: Sequence[Claimed], node: str) -> Steps:
        """Steps that a message asks for, and those that they make possible."""
        changed, afresh = yield from self._acted(process, works)
        if changed or afresh:
            yield from self._go_on(process, self._of(node), changed, afresh=afresh)

    def finish_here(
        self, process: Process, seqs: Sequence[int], outcome: Outcome, node: str
    ) -> Steps:
        """Steps to end, and those whose turn comes then."""
        changed = yield from self._ended(seqs, outcome)
        if changed:
            yield from self._go_on(process, self._of(node), changed, afresh=False)

    def _of(self, node: str) -> set[int]:
        return {seq for seq, other in enumerate(self.nodes, 1) if other == node}

    def _go_on(
        self, process: Process, mine: Collection[int], changed: set[int], *, afresh: bool
    ) -> Steps:
        taken: set[Send] = set()
        while changed or afresh:
            view: View | None = yield from self.asked("tx.snapshot", self.rows.snapshot)
            if view is None:
                return
            sends: list[Send] = []
            decide: Decide | None = None
            for effect in view.effects:
                if isinstance(effect, Decide):
                    decide = effect
                elif isinstance(effect, Continue):
                    yield from self._continue()
                elif effect not in taken and (afresh or self._beside(effect, changed)):
                    sends.append(effect)
            changed, afresh = set(), False
            if decide is not None:
                standing = yield from self.decide(process, decide.outcome)
                afresh = standing is not None and standing[0] is not None
                continue
            taken.update(sends)
            changed, afresh = yield from self._took(process, mine, sends, view)

    def _took(
        self, process: Process, mine: Collection[int], sends: Sequence[Send], view: View
    ) -> Steps:
        here = [send.seq for send in sends if send.seq in mine]
        others = [(send.phase, send.seq) for send in sends if send.seq not in mine]
        self._send(process, others, (view.facts.outcome, view.left_us))
        if not here:
            return set(), False
        claimed = yield from self.asked("branch.claim", self.rows.claim, tuple(here))
        facts, left_us, attempts = claimed
        if sends[0].phase is Phase.PREPARE:
            works = [
                Claimed(self.branches[seq - 1], left_us, attempts[seq], self.sim.now_us)
                for seq in here
                if facts.votes[seq - 1] is None and facts.outcome is None
            ]
            return (yield from self._acted(process, works))
        if facts.outcome is None:
            return set(), False
        unended = [seq for seq in here if facts.actuals[seq - 1] is None]
        return (yield from self._ended(unended, facts.outcome)), False

    def _acted(self, process: Process, works: Sequence[Claimed]) -> Steps:
        if not works:
            return set(), False
        try:
            ballots, standing = yield from self.vote(process, works)
        except (Busy, Lost):
            return set(), False
        decided = standing is not None and standing[1]
        return {seq for seq, _ in ballots}, decided

    def _ended(self, seqs: Sequence[int], outcome: Outcome) -> Steps:
        if not seqs:
            return set()
        yield from self.conclude(seqs, outcome)
        return set(seqs)

    def _beside(self, send: Send, changed: Collection[int]) -> bool:
        kinds = [branch.kind for branch in self.branches]
        if send.seq in changed or any(before in changed for before in kinds[send.seq - 1].after):
            return True
        return any(send.seq in kinds[other - 1].after for other in changed)

    def end_alone(self, branch: Branch, outcome: Outcome) -> Steps:
        """As of any branch; behind the pivot it is done now. Raises Busy or Lost."""
        forward = branch.kind.form is Form.FORWARD and outcome is Outcome.COMMITTED
        if not forward:
            return (yield from super().end_alone(branch, outcome))
        assert isinstance(branch, Step)
        yield (branch.place, "branch.enter", branch.enter, ())
        yield 1 + self.sim.chance.below(3_000)
        return (yield (branch.place, "branch.finish", branch.act, ()))


class SagaBook(Book):
    """Rows of a saga, with their order. A vote has others begin, so it has to stay."""

    flushes_votes = True

    def branch_row(self, kind: Kind) -> BranchRow:
        """A branch's row as `begin` writes it."""
        return BranchRow(form=kind.form, mode=kind.mode, after=kind.after)

    def branch_state(self, seq: int, facts: Facts, *, due: bool) -> BranchState:
        """A branch as the engine sees it."""
        kind = self.kinds[seq - 1]
        return BranchState(
            seq=seq,
            participant="",
            node="",
            using="",
            mode=kind.mode,
            form=kind.form,
            after=kind.after,
            vote=facts.votes[seq - 1],
            actual=facts.actuals[seq - 1],
            due=due,
        )


class SagaWorld(EngineWorld):
    """One saga."""

    coordinating = Stepping
    branch = Step

    def _draw_work(self, chance: Chance) -> None:
        super()._draw_work(chance)
        for branch in self.branches:
            branch.signed = False
            if branch.kind.form is Form.FORWARD:
                branch.body, branch.refuses = Vote.YES, 0

    def look(self, facts: Facts | None) -> str | None:
        """The first promise that a state breaks."""
        return _broken_in(facts, [b for b in self.branches if isinstance(b, Step)])


def _broken_in(facts: Facts | None, steps: Sequence[Step]) -> str | None:
    if facts is None:
        acted = [step for step in steps if step.local is not Local.IDLE]
        return f"{acted[0].where} acted before the rows are durable" if acted else None
    voting = [facts.votes[s.seq - 1] for s in steps if s.kind.form is not Form.FORWARD]
    if facts.outcome is Outcome.COMMITTED and any(vote not in IN_FAVOUR for vote in voting):
        return "committed without every vote"
    for each in steps:
        fault = each.fault or _differs(each, facts) or _out_of_order(each, facts, steps)
        if fault is not None:
            return f"{each.where}: {fault}"
    return None


def _differs(each: Step, facts: Facts) -> str | None:
    """How a step differs from what the rows say of it."""
    vote, actual = facts.votes[each.seq - 1], facts.actuals[each.seq - 1]
    done = each.local is Local.DONE
    if actual is not None and actual.heuristic:
        return f"ended {actual} without anybody's interference"
    if vote is Vote.YES and facts.outcome is not Outcome.ABORTED and not done:
        return "voted yes and has not acted"
    if actual is Actual.COMMITTED and not done:
        return f"it is recorded as committed, and is {each.local}"
    if actual is Actual.ABORTED and done:
        return "it is recorded as aborted, and its action stands"
    if each.undone and facts.outcome is not Outcome.ABORTED:
        return "compensated though it is not aborted"
    return None


def _out_of_order(each: Step, facts: Facts, steps: Sequence[Step]) -> str | None:
    """Whether a step was done before its time, or undone before what came after it."""
    done, form = each.local is Local.DONE, each.kind.form
    before = [steps[seq - 1] for seq in each.kind.after]
    if form is Form.PIVOT and done and facts.outcome is Outcome.ABORTED:
        return "aborted though the pivot has acted"
    # By the databases: the record of an end may be lost with the power, and is made again.
    undone = any(other.local is not Local.DONE for other in before)
    if form is Form.FORWARD and done and (facts.outcome is not Outcome.COMMITTED or undone):
        return "done before its time"
    votes = [facts.votes[other.seq - 1] for other in before]
    if form is not Form.FORWARD and done and any(vote not in IN_FAVOUR for vote in votes):
        return "it has acted before all had voted that it comes after"
    behind = [other for other in steps if each.seq in other.kind.after]
    if each.undone and any(other.local is Local.DONE for other in behind):
        return "compensated before what came after it"
    return None


class Saga(TwoPhase):
    """Adapter of `saga`."""

    name = "saga"
    protocol = Protocol.SAGA
    book = SagaBook
    world = SagaWorld

    def __init__(
        self,
        kinds: tuple[FaultKind, ...] | None = None,
        *,
        rules: Rules | None = None,
        shapes: tuple[Shape, ...] = SHAPES,
    ) -> None:
        stranger = FaultKind.FOREIGN_ENDING
        super().__init__(kinds, rules=rules, shapes=shapes)
        self.kinds -= {stranger}
        self._planned = tuple([kind for kind in self._planned if kind is not stranger])
