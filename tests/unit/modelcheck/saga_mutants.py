"""Known ways to get sagas wrong, one class each. The check must find a counterexample to each."""

from dataclasses import replace
from typing import ClassVar

from coordination.transactions import engine, machine
from coordination.transactions.engine import Effect, Send
from coordination.transactions.machine import BranchRow, Row
from coordination.transactions.protocols import saga
from coordination.transactions.types import Actual, Ballot, Form, Outcome, Phase, Snapshot
from tests.unit.modelcheck.mutants import Mutant
from tests.unit.modelcheck.world import Bounds, Kind

TWO_STEPS = Bounds(kinds=(Kind.SAGA, Kind.SAGA), after=((), (1,)))
WITH_PIVOT = Bounds(kinds=(Kind.SAGA, Kind.PIVOT, Kind.FORWARD), handlers=1, after=((), (1,), (2,)))


class SagaMutant(Mutant):
    """A mistake with the order of steps, or with their ends."""

    bounds: ClassVar[Bounds] = TWO_STEPS


class CompensatedAtOnce(SagaMutant):
    """All steps are compensated at once, not in reverse."""

    breaks = "is compensated before what came after it has ended"

    def step(self, snapshot: Snapshot) -> tuple[Effect, ...]:
        if snapshot.outcome is None or snapshot.ended:
            return engine.step(snapshot)
        return tuple(Send(Phase.FINISH, b.seq) for b in snapshot.branches if not b.finished)


class AskedAtOnce(SagaMutant):
    """A step is asked for before the one that it comes after has voted."""

    breaks = "has worked before all had voted that it comes after"

    def step(self, snapshot: Snapshot) -> tuple[Effect, ...]:
        effects = engine.step(snapshot)
        if snapshot.outcome is not None or not all(isinstance(each, Send) for each in effects):
            return effects
        return tuple(Send(Phase.PREPARE, b.seq) for b in snapshot.branches if b.vote is None)


class ActionAfterItsCompensation(SagaMutant):
    """A compensation leaves no trace, so a message that is late acts again."""

    buries = False
    breaks = "its body ran after the tombstone"


class ActionAfterTheEmptyCompensation(SagaMutant):
    """What never acted is compensated without a trace, so its late action is never undone."""

    buries_empty = False
    breaks = "its body ran after the tombstone"


class CompensatedInTheTurnOfAnother(SagaMutant):
    """A message to act that comes after the decision ends the step at once."""

    breaks = "is compensated before what came after it has ended"
    ends_overtaken = True


class EndedUnheard(SagaMutant):
    """An abort takes every step that has not voted for one that was never asked."""

    bounds = Bounds(kinds=(Kind.SAGA, Kind.SAGA), handlers=1, after=((), (1,)))
    breaks = "ended as aborted, and its action stands"

    def decide(self, row: Row, outcome: Outcome) -> Row:
        decided = machine.decide(row, outcome)
        if row.outcome is not None or decided.outcome is not Outcome.ABORTED:
            return decided
        return replace(decided, branches=tuple(map(_ended_unless_voted, decided.branches)))


def _ended_unless_voted(branch: BranchRow) -> BranchRow:
    return replace(branch, actual=Actual.ABORTED) if branch.vote is None else branch


class DeadlineBehindThePivot(SagaMutant):
    """The deadline aborts though the pivot is asked, and may have acted."""

    bounds = WITH_PIVOT
    breaks = "aborted though the pivot has acted"

    def decide(self, row: Row, outcome: Outcome) -> Row:
        plain = tuple(
            replace(b, form=Form.PREPARE) if b.form is Form.PIVOT else b for b in row.branches
        )
        decided = machine.decide(replace(row, branches=plain), outcome)
        pairs = zip(decided.branches, row.branches, strict=True)
        return replace(decided, branches=tuple(replace(b, form=was.form) for b, was in pairs))


class LatePivotSaysNoBlindly(SagaMutant):
    """A pivot that is asked again after the deadline says no without a look at its barrier."""

    bounds = WITH_PIVOT
    looks_before_no = False
    breaks = "aborted though the pivot has acted"


class ForwardAsked(SagaMutant):
    """What lies behind the pivot is asked for with the rest."""

    bounds = WITH_PIVOT
    breaks = "behind the pivot is done before its time"

    def step(self, snapshot: Snapshot) -> tuple[Effect, ...]:
        effects = engine.step(snapshot)
        if snapshot.outcome is not None or not all(isinstance(each, Send) for each in effects):
            return effects
        behind = (b for b in snapshot.branches if b.form is Form.FORWARD)
        return (*effects, *(Send(Phase.PREPARE, branch.seq) for branch in behind))


class ForwardOutOfOrder(SagaMutant):
    """What lies behind the pivot is done all at once."""

    bounds = Bounds(
        kinds=(Kind.PIVOT, Kind.FORWARD, Kind.FORWARD), handlers=1, after=((), (1,), (2,))
    )
    breaks = "behind the pivot is done before its time"
    step = CompensatedAtOnce.step


class ForwardAwaited(SagaMutant):
    """The decision waits for votes that those behind the pivot never give, until the deadline."""

    bounds = WITH_PIVOT
    breaks = "aborted though the pivot has acted"

    def record_votes(self, row: Row, ballots: tuple[Ballot, ...]) -> Row:
        after = machine.record_votes(row, ballots)
        decided = row.outcome is None and after.outcome is Outcome.COMMITTED
        silent = any(branch.vote is None for branch in after.branches)
        if not (decided and silent):
            return after
        plain = machine.record_votes(replace(row, outcome=Outcome.COMMITTED), ballots)
        return replace(plain, outcome=None)

    def step(self, snapshot: Snapshot) -> tuple[Effect, ...]:
        decision = saga.decision(snapshot)
        if snapshot.outcome is None and decision is not None and _committed(decision[0]):
            return ()
        return engine.step(snapshot)


def _committed(outcome: Outcome) -> bool:
    return outcome is Outcome.COMMITTED


class ForwardNeverSent(SagaMutant):
    """Finishing is for those who have voted."""

    bounds = WITH_PIVOT
    breaks = "no end, though faults have stopped"

    def step(self, snapshot: Snapshot) -> tuple[Effect, ...]:
        return tuple(
            effect
            for effect in engine.step(snapshot)
            if not isinstance(effect, Send) or effect.phase is Phase.PREPARE
        )


SAGA_MUTANTS: tuple[type[SagaMutant], ...] = tuple(SagaMutant.__subclasses__())
