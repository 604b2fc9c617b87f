"""Mistakes of sagas."""

from dataclasses import replace

from coordination.transactions import engine, machine
from coordination.transactions.engine import Continue, Decide, Effect, Send
from coordination.transactions.machine import Local, Row
from coordination.transactions.types import Actual, Form, Outcome, Phase, Snapshot
from coordination.verification.simulation.engine.kinds import Kind
from coordination.verification.simulation.protocols.saga import (
    SHAPES,
    Saga,
    SagaBook,
    SagaWorld,
    Stepping,
)
from tests.unit.simulation.mutants.mutant import NO_END, Mutant


class OfASaga:
    """What the mistakes of sagas have in common."""

    adapter = Saga
    shapes = SHAPES


class StepAskedTooEarly(OfASaga, Mutant):
    """A step is asked for before all has voted that it comes after."""

    breaks = ("it has acted before all had voted",)

    def step(self, snapshot: Snapshot) -> tuple[Effect, ...]:
        effects = engine.step(snapshot)
        if snapshot.outcome is not None or any(isinstance(effect, Decide) for effect in effects):
            return effects
        missing = [b for b in snapshot.branches if b.vote is None and b.form is not Form.FORWARD]
        return tuple([Send(Phase.PREPARE, branch.seq) for branch in missing])


class CompensatedOutOfOrder(OfASaga, Mutant):
    """Every step is compensated at once."""

    breaks = ("compensated before what came after it",)

    def step(self, snapshot: Snapshot) -> tuple[Effect, ...]:
        if snapshot.outcome is not Outcome.ABORTED:
            return engine.step(snapshot)
        return _at_once(snapshot)


class OvertakenStepEnded(OfASaga, Mutant):
    """A message to act ends the step that the decision has overtaken, out of its turn."""

    class _World(SagaWorld):
        class coordinating(Stepping):  # noqa: N801 - the name of what is overridden
            ends_overtaken = True

    class adapter(Saga):  # noqa: N801
        world = SagaWorld

    adapter.world = _World
    breaks = ("compensated before what came after it",)


class VoteNotFlushed(OfASaga, Mutant):
    """The vote of a step has others begin before the disk has it."""

    class _Book(SagaBook):
        flushes_votes = False

    class adapter(Saga):  # noqa: N801
        book = SagaBook

    adapter.book = _Book
    breaks = ("it has acted before all had voted", "compensated before what came after it")


class PivotAbortedByDeadline(OfASaga, Mutant):
    """The deadline aborts a saga whose pivot may have acted."""

    breaks = ("aborted though the pivot has acted",)

    def step(self, snapshot: Snapshot) -> tuple[Effect, ...]:
        if snapshot.outcome is None and snapshot.expired:
            return (Decide(Outcome.ABORTED, "the deadline has passed"),)
        return engine.step(snapshot)

    def decide(self, row: Row, outcome: Outcome) -> Row:
        return row if row.outcome is not None else replace(row, outcome=outcome)


class ForwardDoneTooEarly(OfASaga, Mutant):
    """What lies behind the pivot is asked for before what it comes after has ended."""

    breaks = ("done before its time",)

    def step(self, snapshot: Snapshot) -> tuple[Effect, ...]:
        if snapshot.outcome is not Outcome.COMMITTED:
            return engine.step(snapshot)
        return _at_once(snapshot)


class EmptyCompensationForgotten(OfASaga, Mutant):
    """A compensation that overtakes its action leaves nothing, and the action is done."""

    breaks = ("its action stands", "compensated before what came after it", NO_END)

    def finish(self, kind: Kind, local: Local, outcome: Outcome) -> tuple[Local, Actual]:
        if (local, outcome) == (Local.IDLE, Outcome.ABORTED):
            return local, Actual.ABORTED
        return machine.finish(local, outcome, mode=kind.mode, form=kind.form)


class CompensationSkipped(OfASaga, Mutant):
    """A step that is done is recorded as aborted, and stays."""

    breaks = ("its action stands",)

    def finish(self, kind: Kind, local: Local, outcome: Outcome) -> tuple[Local, Actual]:
        if (local, outcome) == (Local.DONE, Outcome.ABORTED):
            return local, Actual.ABORTED
        return machine.finish(local, outcome, mode=kind.mode, form=kind.form)


def _at_once(snapshot: Snapshot) -> tuple[Effect, ...]:
    """End everything that is not ended."""
    unended = [branch for branch in snapshot.branches if not branch.finished]
    sends = tuple([Send(Phase.FINISH, branch.seq) for branch in unended])
    return (*sends, Continue()) if snapshot.continue_due else sends
