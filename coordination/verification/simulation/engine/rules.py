"""What runs: the project's own functions, and the habits of those who call them.

The functions are the engine's `step` and the reference machines'. The habits are what `runner.py`,
`together.py`, `worker.py`, `finishing.py`, `sweeper.py`, `orphans.py` and `branches/` do around
them, as far as it is a choice that can be got wrong. A mutant overrides one of either.
"""

from coordination.transactions import engine, machine
from coordination.transactions.machine import Local, Row
from coordination.transactions.types import Actual, Ballot, Outcome, Result, Snapshot, Vote
from coordination.verification.simulation.engine.kinds import Kind


class Rules:
    """The functions as methods, the habits as attributes."""

    asks_witness_when_late = True
    """After the deadline, what is prepared or committed already still counts as a yes."""
    begins_before_prepare = True
    """Nothing is prepared before the rows are durable."""
    buries = True
    """An abort leaves a tombstone."""
    buries_before_no = True
    """A tcc or one-phase body that refused leaves a tombstone before its no is cast."""
    casts_last_with_work = True
    """A last agent's vote, the outcome and its work are one commit."""
    casts_lost_votes = False
    """A vote of a branch whose answer was lost is taken for a yes."""
    confirms_once = True
    """A confirm that comes again finds its barrier."""
    ends_unrun = True
    """A tcc branch that was not run because of another's no is not ended by that."""
    finishes_before_ack = True
    finishes_by_register = True
    """Branches are ended by the register's answer, not by the wish it was asked with."""
    finishes_on_own_vote = False
    """A participant ends its branch with its own yes, and does not wait for the decision."""
    flushes_decision = True
    gives_up_after = 10
    """Attempts at a branch."""
    looks_before_giving_up = True
    orphan_sweep = True
    orphans_need_outcome = True
    """What is prepared without a decision is left alone."""
    peer_no_ends_branch = False
    """A peer's no after a body that refused is told as the end of its branch."""
    prepares_before_vote = True
    records_on_own_vote = False
    """A branch is recorded as ended with its own yes."""
    retries = True
    """What could not be ended is tried again."""
    sends_last_early = False
    signs_after_ack = False
    """What a branch left for after its commit is started when its end is on record."""
    signs_before_commit = False
    """What a branch left for after its commit is started before it."""
    starts_before_record = True
    """The continuation is started, and then recorded as started."""
    takes_branch_lock = True
    """Of two attempts at a branch one is turned away."""
    tells_after_vote = True
    tells_by_register = True
    """Outcomes told are the register's, not the wish it was asked with."""
    turned_away_is_no = False
    """Whoever meets another attempt at a branch takes that for a no."""
    unknown_is_aborted = False
    """Who waits in vain for the outcome takes that for an abort."""
    waits_for_register = True
    """A prepared participant does nothing by itself."""

    def step(self, snapshot: Snapshot) -> tuple[engine.Effect, ...]:
        """What is next for a transaction."""
        return engine.step(snapshot)

    def known(self, local: Local) -> Local:
        """What an attempt reads of what earlier ones left: all of it."""
        return local

    def prepare(self, kind: Kind, local: Local, body: Vote) -> tuple[Local, Vote]:
        """What a prepare does to a branch in its own database."""
        return machine.prepare(local, body, mode=kind.mode)

    def finish(self, kind: Kind, local: Local, outcome: Outcome) -> tuple[Local, Actual]:
        """What a finish does to a branch in its own database."""
        return machine.finish(local, outcome, mode=kind.mode, form=kind.form)

    def record_votes(self, row: Row, ballots: tuple[Ballot, ...]) -> Row:
        """The row after votes, with the outcome they decide."""
        return machine.record_votes(row, ballots)

    def decide(self, row: Row, outcome: Outcome) -> Row:
        """The row after the register was asked."""
        return machine.decide(row, outcome)

    def record_results(self, row: Row, results: tuple[Result, ...]) -> Row:
        """The row after branches ended."""
        return machine.record_results(row, results)
