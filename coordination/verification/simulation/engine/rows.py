"""The coordinator's database: one transaction's rows, judged by its clock, with what is flushed.

Each method is one atomic statement, after the SQL functions of migration 0002.
"""

from collections.abc import Callable
from dataclasses import dataclass

from coordination.transactions.engine import Effect
from coordination.transactions.types import Actual, Outcome
from coordination.verification.simulation.engine.book import Book, Cast, Facts
from coordination.verification.simulation.events import EventKind
from coordination.verification.simulation.processes import Place
from coordination.verification.simulation.scheduler import Simulation

LEASE_US = (2_000_000, 8_000_000)
RETRY_US = (500_000, 30_000_000)
NEVER_US = 1 << 50
FLUSHED_AFTER_US = 600_000
"""The longest that a commit that did not wait for the disk is not yet on it: three rounds of
PostgreSQL's `wal_writer_delay`."""


@dataclass(frozen=True, slots=True)
class View:
    """The rows as somebody has read them, who may act on it much later."""

    effects: tuple[Effect, ...]
    facts: Facts
    left_us: int
    """Time until the deadline; not above 0 when that has passed."""


class Rows:
    """The rows and their register. `row` is a number of the book, -1 before they are there.

    `rang` is called whenever the time of the next sweep was moved.
    """

    def __init__(self, sim: Simulation, book: Book, *, deadline_us: int, continues: bool) -> None:
        self.sim = sim
        self.book = book
        self.place = Place("rows")
        self.place.power_cut = self._lose
        self.place.jumped = self._ring
        sim.places["rows"] = self.place
        self.row = -1
        self.deadline_us = deadline_us
        self.patience_us = 2_000_000
        self.continue_due = continues
        self.rang: Callable[[int], None] = lambda _at_us: None
        self.fault: str | None = None
        """A promise that a single move broke."""
        self.attempts = [0] * (len(book.kinds) + 1)
        self._retry_at_us = [0] * (len(book.kinds) + 1)
        self._leases = 0
        self._next_us: int | None = None
        self._flushed = (-1, continues)
        self._unflushed_since_us = 0

    @property
    def now_us(self) -> int:
        """Its own clock."""
        return self.sim.now_us + self.place.offset_us

    @property
    def facts(self) -> Facts:
        """What the rows say."""
        return self.book.facts[self.row]

    @property
    def outcome(self) -> Outcome | None:
        """The register."""
        return self.facts.outcome if self.row >= 0 else None

    @property
    def _flushes_decision(self) -> bool:
        return self.book.is_register and self.book.rules.flushes_decision

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do by the rows."""
        return self.outcome is not None and not self.facts.unfinished and not self.continue_due

    # Statements

    def begin(self, deadline_us: int) -> bool:
        """Whether it is new."""
        if self.row >= 0:
            return False
        self.deadline_us = self.now_us + deadline_us
        self._move(self.book.first, flush=True)
        self._wake(min(self.deadline_us, self.now_us + self.patience_us))
        return True

    def claim(self, seqs: tuple[int, ...]) -> tuple[Facts, int, tuple[int, ...]] | None:
        """Count attempts; what the rows say, the time left and the attempts."""
        if self.row < 0:
            return None
        for seq in seqs:
            self.attempts[seq] += 1
        return self.facts, self.deadline_us - self.now_us, tuple(self.attempts)

    def vote(self, cast: Cast) -> tuple[Outcome | None, bool] | None:
        """The register, and whether it was set now; None when the rows are not there.

        Raises Refused.
        """
        if self.row < 0:
            return None
        was = self.outcome
        self._move(self.book.vote(self.row, cast), flush=self.book.flushes_votes)
        return self._standing(was)

    def decide(self, outcome: Outcome) -> tuple[Outcome | None, bool] | None:
        """Ask the register; answers as `vote`."""
        if self.row < 0:
            return None
        was = self.outcome
        self._move(self.book.decide(self.row, outcome), flush=self._flushes_decision)
        return self._standing(was)

    def _standing(self, was: Outcome | None) -> tuple[Outcome | None, bool]:
        now = self.outcome
        if was is None and now is not None:
            self._leases = 0
            if self._flushes_decision:
                self._flush()
            self._wake(self.now_us + self.patience_us)
            if self.sim.tracing:
                self.sim.note(EventKind.STATE, "rows", now.value)
        return now, was is None and now is not None

    def finish(self, results: tuple[tuple[int, Actual], ...]) -> None:
        """Record how branches ended."""
        if self.row < 0:
            return
        if self.outcome is None:
            # A row that only copies its outcome may have lost that, and refuses.
            if self.book.is_register:
                self.fault = "a branch is recorded as ended before the decision"
                self.sim.changed = True
            return
        row = self.row
        for seq, actual in results:
            row = self.book.result(row, seq, actual)
        self._move(row, flush=False)

    def delay(self, seqs: tuple[int, ...], chance_us: int) -> None:
        """Note that branches could not be ended, and when they are asked again."""
        for seq in seqs:
            full_us = min(RETRY_US[1], RETRY_US[0] << min(self.attempts[seq], 16))
            wait_us = full_us // 2 + chance_us % (full_us // 2)
            self._retry_at_us[seq] = self.now_us + (
                wait_us if self.book.rules.retries else NEVER_US
            )

    def continued(self) -> None:
        """Record that the continuation was sent."""
        if self.outcome is None and self.book.is_register:
            self.fault = "continued before the decision"
        self.continue_due = False
        self._unflushed()
        self.sim.changed = True

    def standing(self) -> Outcome | None:
        """A read of the register."""
        return self.outcome

    def lease(self, chance_us: int) -> bool:
        """Take the transaction away from other sweepers for a while, if it is due."""
        if self.row < 0 or self._next_us is None or self.ended or self._next_us > self.now_us:
            return False
        lease_us = min(LEASE_US[1], LEASE_US[0] << min(self._leases, 16))
        next_us = self.now_us + lease_us * 3 // 4 + chance_us % (lease_us // 2)
        if self.outcome is None and self.deadline_us > self.now_us:
            next_us = min(next_us, self.deadline_us)
        self._leases += 1
        self._wake(next_us)
        return True

    def snapshot(self) -> View | None:
        """What the engine wants now, and what the rows say; None: they are not there."""
        if self.row < 0:
            return None
        now_us, due = self.now_us, 0
        for seq, at_us in enumerate(self._retry_at_us):
            if at_us <= now_us:
                due |= 1 << seq
        effects = self.book.effects(
            self.row,
            expired=self.deadline_us <= now_us,
            continue_due=self.continue_due,
            due=due,
        )
        return View(effects, self.facts, self.deadline_us - now_us)

    # What is kept

    def _move(self, row: int, *, flush: bool) -> None:
        if row == self.row:
            return
        old, self.row = self.row, row
        self.sim.changed = True
        if old >= 0:
            fault = self.book.found((old, row), lambda: self._broken_by(old, row))
            self.fault = self.fault or fault
        if flush:
            self._flush()
        else:
            self._unflushed()

    def _broken_by(self, old: int, new: int) -> str | None:
        """The promise that a change of the rows breaks."""
        was, now = self.book.facts[old], self.book.facts[new]
        if was.outcome is not None and now.outcome is not was.outcome:
            return f"the register went from {was.outcome} to {now.outcome or 'nothing'}"
        pairs = (("vote", was.votes, now.votes), ("ending", was.actuals, now.actuals))
        for what, before, after in pairs:
            for seq, (one, other) in enumerate(zip(before, after, strict=True), 1):
                if one is not None and other is not one:
                    return f"branch {seq}: its {what} went from {one} to {other or 'nothing'}"
        return None

    def _flush(self) -> None:
        self._flushed = (self.row, self.continue_due)

    def _unflushed(self) -> None:
        self._unflushed_since_us = self.sim.now_us

    def _lose(self) -> None:
        row, continues = self._flushed
        if self.sim.now_us - self._unflushed_since_us >= FLUSHED_AFTER_US:
            self._flush()
            return
        if row < 0 <= self.row:
            return  # `begin` flushes
        lost = self.row != row and self.outcome is not self.book.facts[row].outcome
        if lost and self.book.is_register:
            self.fault = f"a power cut took back that it is {self.outcome}"
        self.row, self.continue_due = row, continues
        self.sim.changed = True
        self._ring()

    def _wake(self, at_us: int) -> None:
        self._next_us = at_us
        self._ring()

    @property
    def due_us(self) -> int | None:
        """When the next sweep is due, in the simulation's time; None: never."""
        if self._next_us is None or self.row < 0 or self.ended:
            return None
        return self._next_us - self.place.offset_us

    def _ring(self) -> None:
        if (due_us := self.due_us) is not None:
            self.rang(due_us)
