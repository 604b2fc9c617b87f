"""Mistakes of participants in their own databases."""

from coordination.transactions import machine
from coordination.transactions.machine import Local
from coordination.transactions.types import Actual, Outcome, Vote
from coordination.verification.simulation.engine.kinds import Kind, Shape
from coordination.verification.simulation.protocols.two_phase import TCC
from tests.unit.simulation.mutants.mutant import (
    DELAYS,
    NO_END,
    ONLY_ONE_PHASE,
    ONLY_TCC,
    ONLY_XA,
    Mutant,
)


class TimeoutInPreparedTakenForAbort(Mutant):
    """A prepared participant that waits too long takes silence for an abort."""

    waits_for_register = False
    breaks = ("voted yes without durable work",)


class CommitsOnItsOwnVote(Mutant):
    """A participant ends its branch with its own yes."""

    finishes_on_own_vote = True
    breaks = ("is committed though the outcome is open", "is committed though the outcome is ab")


class NoTombstone(Mutant):
    """An abort leaves no trace, so a late message does the work again."""

    buries = False
    breaks = ("its body ran after the tombstone",)


class TombstoneIgnored(Mutant):
    """A late try is accepted though the branch was cancelled."""

    shapes = ONLY_TCC
    breaks = ("its body ran after the tombstone", NO_END)

    def known(self, local: Local) -> Local:
        return Local.IDLE if local is Local.TOMBSTONE else local

    def prepare(self, kind: Kind, local: Local, body: Vote) -> tuple[Local, Vote]:
        return machine.prepare(self.known(local), body)


class EmptyCancelSkipped(Mutant):
    """A cancel that overtakes its try leaves nothing, and the try reserves for nobody."""

    shapes = ONLY_TCC
    kinds = DELAYS
    breaks = (NO_END,)

    def finish(self, kind: Kind, local: Local, outcome: Outcome) -> tuple[Local, Actual]:
        if (local, outcome) == (Local.IDLE, Outcome.ABORTED):
            return local, Actual.ABORTED
        return machine.finish(local, outcome)


class BodyRunsAgain(Mutant):
    """The witness of committed work is not read before the body runs."""

    breaks = ("its work was applied",)

    def known(self, local: Local) -> Local:
        return Local.IDLE if local is Local.COMMITTED else local

    def prepare(self, kind: Kind, local: Local, body: Vote) -> tuple[Local, Vote]:
        return machine.prepare(self.known(local), body)


class ConfirmWithoutBarrier(Mutant):
    """A confirm that comes again is done again."""

    confirms_once = False
    shapes = ONLY_TCC
    breaks = ("its work was applied twice",)


class TwoAttemptsAtOnce(Mutant):
    """Nothing keeps a second attempt out while the first one runs."""

    takes_branch_lock = False
    shapes = ONLY_ONE_PHASE
    breaks = ("its work was applied twice",)


class ReserveNoWithoutBarrier(Mutant):
    """A refusal ends a tcc branch while a duplicate may still reserve, for nobody to cancel."""

    buries_before_no = False
    shapes = ONLY_TCC
    kinds = DELAYS
    breaks = (NO_END,)


class OnePhaseNoWithoutTombstone(ReserveNoWithoutBarrier):
    """A refusal ends a one-phase branch while a duplicate may still commit it."""

    shapes = ONLY_ONE_PHASE
    breaks = ("is committed though the outcome is aborted",)


class ReserveEndedUnrun(Mutant):
    """The caller ends branches it did not run, though a worker may have reserved them."""

    ends_unrun = False
    shapes = (Shape((TCC, TCC), inline=True),)
    breaks = (NO_END,)


class MissingPreparedTakenForRollback(Mutant):
    """A commit whose reply was lost, and which finds nothing to commit, is told as rolled back."""

    breaks = ("without anybody's interference",)

    def finish(self, kind: Kind, local: Local, outcome: Outcome) -> tuple[Local, Actual]:
        if (local, outcome) == (Local.COMMITTED, Outcome.COMMITTED):
            return local, Actual.HEURISTIC_ROLLBACK
        return machine.finish(local, outcome)


class MissingPreparedTakenForCommit(Mutant):
    """What somebody rolled back by hand is told as committed."""

    shapes = ONLY_XA
    breaks = ("is not on record",)

    def finish(self, kind: Kind, local: Local, outcome: Outcome) -> tuple[Local, Actual]:
        if (local, outcome) == (Local.IDLE, Outcome.COMMITTED):
            return local, Actual.COMMITTED
        return machine.finish(local, outcome)


class ForeignCommitHidden(Mutant):
    """What somebody committed by hand against an abort is told as aborted."""

    shapes = ONLY_XA
    breaks = ("is not on record",)

    def finish(self, kind: Kind, local: Local, outcome: Outcome) -> tuple[Local, Actual]:
        if (local, outcome) == (Local.COMMITTED, Outcome.ABORTED):
            return local, Actual.ABORTED
        return machine.finish(local, outcome)
