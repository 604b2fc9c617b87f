"""One branch in its participant's own database: sessions, prepared work, witness and tombstone.

What is prepared or committed survives a crash; a body that runs, and the lock that keeps other
attempts out meanwhile, do not.
"""

from coordination.transactions.machine import Local
from coordination.transactions.types import Actual, Form, Mode, Outcome, Vote
from coordination.verification.simulation.engine.book import (
    NO_ABORTED,
    READ_ONLY,
    YES,
    YES_COMMITTED,
)
from coordination.verification.simulation.engine.kinds import Kind
from coordination.verification.simulation.engine.rules import Rules
from coordination.verification.simulation.events import EventKind
from coordination.verification.simulation.processes import Lost, Place, Task
from coordination.verification.simulation.scheduler import Simulation

LOCALS = {local: number for number, local in enumerate(Local)}


class Busy(Exception):
    """Another attempt is at the branch."""


class Branch:
    """`amount` is what its work moves; `applied` how often it became visible."""

    __slots__ = (
        "_generation",
        "_holder",
        "amount",
        "applied",
        "body",
        "buried",
        "fault",
        "foreign",
        "foreign_orphan",
        "kind",
        "local",
        "place",
        "prepared_at_us",
        "refuses",
        "rules",
        "seq",
        "signature",
        "signed",
        "sim",
        "where",
    )

    def __init__(self, sim: Simulation, rules: Rules, seq: int, kind: Kind, place: Place) -> None:
        self.sim, self.rules = sim, rules
        self.seq, self.kind, self.place = seq, kind, place
        self.where = f"branch {seq}"
        self.local = Local.IDLE
        self.amount = 0
        self.applied = 0
        self.body = Vote.YES
        """What its body says, unless it refuses, which it does in `refuses` of 100 attempts."""
        self.refuses = 0
        self.buried = False
        self.foreign = False
        """Whether somebody ended it by hand."""
        self.foreign_orphan = False
        """Whether its end was on record by then: it was left prepared by an attempt that was late,
        and only the auditor, who reads its witness, sees what was done to it."""
        self.fault: str | None = None
        self.prepared_at_us = 0
        self.signed = False
        """Whether its body leaves something to be started after its commit."""
        self.signature = 0
        """A number for all that promises are about."""
        self._holder: Task | None = None
        self._generation = 0

    # Sessions

    @property
    def held(self) -> bool:
        """Whether an attempt that may still do something has its lock."""
        holder = self._holder
        if holder is None or not self.rules.takes_branch_lock:
            return False
        if holder.gone or self._generation != self.place.generation:
            self._holder = None
            return False
        return True

    def enter(self) -> Local:
        """Take the lock and say what an earlier attempt left. Raises Busy."""
        known = self.rules.known(self.local)
        if known is Local.IDLE:
            if self.held:
                raise Busy
            self._holder, self._generation = self.sim.current, self.place.generation
        return known

    def leave(self) -> None:
        """Roll back what the body did."""
        if self._holder is self.sim.current:
            self._holder = None

    def require_session(self) -> None:
        """End the attempt's session if it is whole. Raises Lost."""
        # The session ended with the database, or with a connection that broke.
        whole = self._holder is self.sim.current and self._generation == self.place.generation
        if not whole and self.rules.takes_branch_lock:
            raise Lost
        self._holder = None

    # Statements

    def seal(self, body: Vote) -> str:
        """Make the work durable that the body has done; the ballot. Raises Lost."""
        self.require_session()
        return self.keep(body)

    def keep(self, body: Vote) -> str:
        """As `seal`, where the session is known to be whole."""
        ran = self.local is Local.IDLE
        after, vote = self.rules.prepare(self.kind, self.local, body)
        if vote is Vote.READ_ONLY:
            return READ_ONLY
        if vote is Vote.NO:
            return NO_ABORTED
        if (ran or after is not self.local) and self.buried:
            self.fault = "its body ran after the tombstone"
        self._to(after)
        return YES

    def commit(self, body: Vote) -> str:
        """One phase: commit the work that the body has done; the ballot. Raises Lost."""
        self.require_session()
        return self.keep_committed(body)

    def keep_committed(self, body: Vote) -> str:
        """As `commit`, where the session is known to be whole."""
        ballot = self.keep(body)
        if ballot != YES:
            return ballot
        self._apply(self.rules.finish(self.kind, self.local, Outcome.COMMITTED)[0])
        return YES if self.signed else YES_COMMITTED

    def is_prepared(self) -> bool:
        """Whether it is prepared and undecided."""
        return self.local is Local.PREPARED

    def is_left_prepared(self, age_us: int) -> bool:
        """Whether it is prepared for so long, by its database's clock."""
        now_us = self.sim.now_us + self.place.offset_us
        return self.local is Local.PREPARED and now_us - self.prepared_at_us >= age_us

    def bury(self) -> Local:
        """Put a tombstone unless something stands there; what stands there. Raises Busy."""
        if self.held or (self.local is Local.PREPARED and self.kind.mode is Mode.XA):
            raise Busy
        if self.local is Local.IDLE:
            self._bury()
        return self.local

    def end(self, outcome: Outcome) -> Actual | None:
        """Commit or roll back what is prepared, or say how it ended; None: it is to be buried.

        Raises Busy where a body runs.
        """
        if outcome is Outcome.ABORTED and self._in_two_steps and self.local is Local.PREPARED:
            self._to(Local.IDLE)
            return None
        if self.held and self.local is Local.IDLE:
            raise Busy
        return self._end(outcome)

    def bury_after_rollback(self) -> Actual:
        """The second step of a rollback. Raises Busy."""
        if self.held or self.local is Local.PREPARED:
            raise Busy
        return self._end(Outcome.ABORTED)

    @property
    def _in_two_steps(self) -> bool:
        return self.kind.mode is Mode.XA

    def _end(self, outcome: Outcome) -> Actual:
        local, actual = self.rules.finish(self.kind, self.local, outcome)
        confirmed = self.local is Local.COMMITTED and self.rules.confirms_once
        if local is Local.COMMITTED and not confirmed:
            self._apply(local)
        elif local is Local.TOMBSTONE:
            self._bury()
        elif local is not self.local:
            self._to(local)
        return actual

    # By hand, and by mutants

    def end_by_hand(self, *, commit: bool) -> bool:
        """Let somebody end it who is not us; False unless it is prepared in PostgreSQL."""
        if self.local is not Local.PREPARED or self.kind.mode is not Mode.XA:
            return False
        self.foreign = True
        if commit:
            self._apply(Local.COMMITTED)
        else:
            self._to(Local.IDLE)
        return True

    def give_up_waiting(self) -> None:
        """Roll back what is prepared without asking anybody: what must never happen."""
        if self.local is Local.PREPARED:
            self._to(Local.IDLE)

    # State

    def _apply(self, local: Local) -> None:
        self.applied += 1
        if self.applied > 1:
            self.fault = "its work was applied twice"
        self._to(local)

    def _bury(self) -> None:
        self.buried = True
        self._to(Local.TOMBSTONE if self.rules.buries else Local.IDLE)

    def _to(self, local: Local) -> None:
        if local is Local.PREPARED and self.local is not Local.PREPARED:
            self.prepared_at_us = self.sim.now_us + self.place.offset_us
        if self.sim.tracing and local is not self.local:
            self.sim.note(EventKind.STATE, self.where, local.value)
        self.local = local
        self.signature = (
            LOCALS[local]
            + 8 * min(self.applied, 2)
            + 32 * self.foreign
            + (64 if self.fault is not None else 0)
        )
        self.sim.changed = True

    @property
    def alone(self) -> bool:
        """Whether its own commit comes before the register."""
        return self.kind.form is Form.ONE_PHASE
