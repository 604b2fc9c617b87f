"""Mistakes that leave something undone, or do it too early."""

from dataclasses import replace

from coordination.transactions import engine, machine
from coordination.transactions.engine import Continue, Effect
from coordination.transactions.machine import Row
from coordination.transactions.types import Phase, Result, Snapshot
from tests.unit.simulation.mutants.mutant import NO_END, ONLY_XA, Mutant, without


class NoOrphanSweep(Mutant):
    """What a duplicate leaves prepared after its branch was finished stays so."""

    orphan_sweep = False
    shapes = ONLY_XA
    breaks = (NO_END,)


class OrphansPresumedAborted(Mutant):
    """What is prepared for long without a decision is rolled back by the orphan sweep."""

    orphans_need_outcome = False
    shapes = ONLY_XA
    breaks = ("voted yes without durable work", "before the decision")


class FinishSentOnce(Mutant):
    """The sweeper asks for votes again, but never for a finish."""

    breaks = (NO_END,)

    def step(self, snapshot: Snapshot) -> tuple[Effect, ...]:
        return without(engine.step(snapshot), Phase.FINISH)


class FailedFinishForgotten(Mutant):
    """A branch that could not be ended is noted, and never tried again."""

    retries = False
    breaks = (NO_END,)


class AckBeforeFinish(Mutant):
    """The ending is recorded first and done after."""

    finishes_before_ack = False
    breaks = ("it is recorded as committed, and is", NO_END)


class PreparedBeforeTheRows(Mutant):
    """Branches are prepared before the rows are durable."""

    begins_before_prepare = False
    breaks = ("it is prepared before the rows are durable",)


class ContinuedEarly(Mutant):
    """The continuation is sent while the outcome is open."""

    breaks = ("continued before the decision",)

    def step(self, snapshot: Snapshot) -> tuple[Effect, ...]:
        effects = engine.step(snapshot)
        early = snapshot.continue_due and snapshot.outcome is None
        return (*effects, Continue()) if early else effects


class ContinuationForgotten(Mutant):
    """The continuation is left to whoever made the decision, who may be dead."""

    breaks = (NO_END,)

    def step(self, snapshot: Snapshot) -> tuple[Effect, ...]:
        effects = engine.step(snapshot)
        return tuple([effect for effect in effects if not isinstance(effect, Continue)])


class ResultBeforeTheDecision(Mutant):
    """A participant records its branch as ended with its own yes."""

    records_on_own_vote = True
    breaks = ("recorded as ended before the decision", "it is recorded as committed, and is")


class OneEndTakenForAll(Mutant):
    """The end of one branch is recorded for the others as well."""

    breaks = (NO_END, "it is recorded as committed, and is", "its ending went from", "is committed")

    def record_results(self, row: Row, results: tuple[Result, ...]) -> Row:
        after = machine.record_results(row, results)
        word = results[0].actual
        branches = [b if b.actual is not None else replace(b, actual=word) for b in after.branches]
        return replace(after, branches=tuple(branches))


class ContinuationRecordedFirst(Mutant):
    """The continuation is recorded as started, and then started by who may have died."""

    starts_before_record = False
    breaks = ("the continuation was not started",)


class SignatureAfterTheAck(Mutant):
    """What is to run after a commit is started when the branch is on record as ended."""

    signs_after_ack = True
    breaks = ("and what it left was not started",)


class SignatureBeforeTheCommit(Mutant):
    """What is to run after a commit is started by whoever is told to end the branch."""

    signs_before_commit = True
    breaks = ("and what it left was started",)
