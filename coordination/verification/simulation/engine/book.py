"""Rows by number: what the pure functions answered is remembered, as it can only be the same again.

This is what makes thousands of schedules a second possible with the real functions in them.
"""

from collections.abc import Callable
from dataclasses import dataclass

from coordination.transactions.engine import Effect
from coordination.transactions.machine import BranchRow, IllegalTransition, Row
from coordination.transactions.types import (
    Actual,
    Ballot,
    BranchState,
    Outcome,
    Protocol,
    Result,
    Snapshot,
    Vote,
)
from coordination.verification.simulation.engine.kinds import Kind
from coordination.verification.simulation.engine.rules import Rules

YES, YES_COMMITTED, NO, NO_ABORTED, READ_ONLY = (
    "yes",
    "yes, committed",
    "no",
    "no, aborted",
    "read only",
)
BALLOTS: dict[str, tuple[Vote, Actual | None]] = {
    YES: (Vote.YES, None),
    YES_COMMITTED: (Vote.YES, Actual.COMMITTED),
    NO: (Vote.NO, None),
    NO_ABORTED: (Vote.NO, Actual.ABORTED),
    READ_ONLY: (Vote.READ_ONLY, Actual.READ_ONLY),
}

Cast = tuple[tuple[int, str], ...]
"""Votes as (seq, key of BALLOTS)."""


class Refused(Exception):
    """A last agent may not commit."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a numbered row says."""

    outcome: Outcome | None
    votes: tuple[Vote | None, ...]
    actuals: tuple[Actual | None, ...]
    pending: int
    unfinished: int


class Book:
    """The rows that a transaction of some branches can have, and what follows from each."""

    flushes_votes = False
    """Whether a vote that decides nothing waits for the disk as well."""
    is_register = True
    """Whether the row is what decides, so that a vote by which it does waits for the disk."""

    def __init__(
        self, rules: Rules, kinds: tuple[Kind, ...], protocol: Protocol = Protocol.TWO_PHASE
    ) -> None:
        self.rules = rules
        self.kinds = kinds
        self.protocol = protocol
        self.rows: list[Row] = []
        self.facts: list[Facts] = []
        self._numbers: dict[Row, int] = {}
        self._votes: dict[tuple[int, Cast], int] = {}
        self._decisions: dict[tuple[int, Outcome], int] = {}
        self._results: dict[tuple[int, int, Actual], int] = {}
        self._effects: dict[tuple[int, bool, bool, int], tuple[Effect, ...]] = {}
        self.checked: dict[tuple[object, ...], str | None] = {}
        """What was found about states; see `promises`."""
        self.first = self._number(Row(branches=tuple([self.branch_row(kind) for kind in kinds])))

    def branch_row(self, kind: Kind) -> BranchRow:
        """A branch's row as `begin` writes it."""
        return BranchRow(form=kind.form)

    def branch_state(self, seq: int, facts: Facts, *, due: bool) -> BranchState:
        """A branch as the engine sees it."""
        kind = self.kinds[seq - 1]
        return BranchState(
            seq=seq,
            participant=f"participant {seq}",
            node="",
            using="",
            mode=kind.mode,
            form=kind.form,
            vote=facts.votes[seq - 1],
            actual=facts.actuals[seq - 1],
            due=due,
        )

    def vote(self, row: int, cast: Cast) -> int:
        """The row after votes. Raises Refused."""
        key = (row, cast)
        if key not in self._votes:
            ballots = tuple(
                [Ballot(seq=s, vote=BALLOTS[kind][0], actual=BALLOTS[kind][1]) for s, kind in cast]
            )
            try:
                self._votes[key] = self._number(self.rules.record_votes(self.rows[row], ballots))
            except IllegalTransition:
                self._votes[key] = -1
        if self._votes[key] < 0:
            raise Refused
        return self._votes[key]

    def decide(self, row: int, outcome: Outcome) -> int:
        """The row after the register was asked."""
        key = (row, outcome)
        if key not in self._decisions:
            self._decisions[key] = self._number(self.rules.decide(self.rows[row], outcome))
        return self._decisions[key]

    def result(self, row: int, seq: int, actual: Actual) -> int:
        """The row after a branch ended."""
        key = (row, seq, actual)
        if key not in self._results:
            results = (Result(seq=seq, actual=actual),)
            self._results[key] = self._number(self.rules.record_results(self.rows[row], results))
        return self._results[key]

    def effects(
        self, row: int, *, expired: bool, continue_due: bool, due: int
    ) -> tuple[Effect, ...]:
        """What the engine wants, `due` being the branches that may be asked now, as bits."""
        key = (row, expired, continue_due, due)
        if key not in self._effects:
            snapshot = self.snapshot(row, expired=expired, continue_due=continue_due, due=due)
            self._effects[key] = self.rules.step(snapshot)
        return self._effects[key]

    def snapshot(self, row: int, *, expired: bool, continue_due: bool, due: int) -> Snapshot:
        """The rows as the engine has them."""
        facts = self.facts[row]
        branches = tuple(
            [
                self.branch_state(seq, facts, due=bool(due >> seq & 1))
                for seq in range(1, len(self.kinds) + 1)
            ]
        )
        return Snapshot(
            gid="g",
            protocol=self.protocol,
            outcome=facts.outcome,
            expired=expired,
            ended=facts.outcome is not None and not facts.unfinished and not continue_due,
            continue_due=continue_due,
            branches=branches,
        )

    def found(self, key: tuple[object, ...], look: Callable[[], str | None]) -> str | None:
        """What a look at a state found, at the first time and ever after."""
        if key not in self.checked:
            self.checked[key] = look()
        return self.checked[key]

    def _number(self, row: Row) -> int:
        number = self._numbers.get(row)
        if number is None:
            number = self._numbers[row] = len(self.rows)
            self.rows.append(row)
            self.facts.append(
                Facts(
                    outcome=row.outcome,
                    votes=tuple([branch.vote for branch in row.branches]),
                    actuals=tuple([branch.actual for branch in row.branches]),
                    pending=row.pending,
                    unfinished=row.unfinished,
                )
            )
        return number
