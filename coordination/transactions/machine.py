"""Pure reference of the two machines of a transaction: a branch in its own database, and the row.

The real ones are `branches/*.py` and the SQL functions of migration 0002. Contract tests hold each
of them to these tables, and the model checker explores exactly these tables, so what was proved
about them is proved about what runs.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from coordination.transactions.types import Actual, Ballot, Form, Outcome, Result, Vote


class Local(StrEnum):
    """What a participant's own database knows of a branch."""

    IDLE = "idle"
    """Nothing: never ran here, or its work was rolled back without a trace."""
    PREPARED = "prepared"
    """The work is durable and undecided."""
    COMMITTED = "committed"
    """The work and its witness are visible."""
    TOMBSTONE = "tombstone"
    """Aborted for good: a late prepare is refused."""


class IllegalTransition(AssertionError):
    """A pair of state and event that no rule allows."""


PREPARE: dict[tuple[Local, Vote], tuple[Local, Vote]] = {
    # (state found, what the body would answer) → (state left, vote given)
    (Local.IDLE, Vote.YES): (Local.PREPARED, Vote.YES),
    (Local.IDLE, Vote.NO): (Local.IDLE, Vote.NO),
    (Local.IDLE, Vote.READ_ONLY): (Local.IDLE, Vote.READ_ONLY),
    # The body never runs twice: what is durable answers for it.
    **{(Local.PREPARED, body): (Local.PREPARED, Vote.YES) for body in Vote},
    **{(Local.COMMITTED, body): (Local.COMMITTED, Vote.YES) for body in Vote},
    **{(Local.TOMBSTONE, body): (Local.TOMBSTONE, Vote.NO) for body in Vote},
}

FINISH: dict[tuple[Local, Outcome], tuple[Local, Actual]] = {
    (Local.PREPARED, Outcome.COMMITTED): (Local.COMMITTED, Actual.COMMITTED),
    (Local.PREPARED, Outcome.ABORTED): (Local.TOMBSTONE, Actual.ABORTED),
    (Local.COMMITTED, Outcome.COMMITTED): (Local.COMMITTED, Actual.COMMITTED),
    (Local.COMMITTED, Outcome.ABORTED): (Local.COMMITTED, Actual.HEURISTIC_COMMIT),
    (Local.IDLE, Outcome.ABORTED): (Local.TOMBSTONE, Actual.ABORTED),
    (Local.TOMBSTONE, Outcome.ABORTED): (Local.TOMBSTONE, Actual.ABORTED),
    # A yes vote is never without its prepared work, so somebody else ended it.
    (Local.IDLE, Outcome.COMMITTED): (Local.IDLE, Actual.HEURISTIC_ROLLBACK),
    (Local.TOMBSTONE, Outcome.COMMITTED): (Local.TOMBSTONE, Actual.HEURISTIC_ROLLBACK),
}


def prepare(local: Local, body: Vote) -> tuple[Local, Vote]:
    """What a prepare message does to a branch whose body would answer `body`."""
    return PREPARE[local, body]


def finish(local: Local, outcome: Outcome) -> tuple[Local, Actual]:
    """What a finish message does to a branch, and how the branch has ended then."""
    return FINISH[local, outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchRow:
    form: Form = Form.PREPARE
    vote: Vote | None = None
    actual: Actual | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The coordinator's row of one transaction, branches by seq - 1, with its register."""

    branches: tuple[BranchRow, ...]
    outcome: Outcome | None = None

    @property
    def pending(self) -> int:
        return sum(branch.vote is None for branch in self.branches)

    @property
    def unfinished(self) -> int:
        return sum(branch.actual is None for branch in self.branches)

    @property
    def ended(self) -> bool:
        return self.outcome is not None and self.unfinished == 0


def record_votes(row: Row, ballots: tuple[Ballot, ...]) -> Row:
    """Count each first vote, and decide in the same step if the votes now decide.

    Raises IllegalTransition where a last agent may not commit: aborted already, or votes missing.
    """
    branches, refused = list(row.branches), False
    for ballot in ballots:
        branch = branches[ballot.seq - 1]
        if branch.vote is not None or branch.actual is not None:
            continue
        branches[ballot.seq - 1] = replace(branch, vote=ballot.vote, actual=ballot.actual)
        refused = refused or ballot.vote is Vote.NO
    counted = replace(row, branches=tuple(branches))
    _guard_commit_by_vote(row, counted, refused=refused)
    if row.outcome is None and refused:
        return replace(counted, outcome=Outcome.ABORTED)
    if row.outcome is None and counted.pending == 0:
        return replace(counted, outcome=Outcome.COMMITTED)
    return counted


def _guard_commit_by_vote(before: Row, after: Row, *, refused: bool) -> None:
    for old, new in zip(before.branches, after.branches, strict=True):
        voted_now = old.vote is None and new.vote is Vote.YES
        commits = before.outcome is None and after.pending == 0 and not refused
        if voted_now and new.form is Form.LAST and not commits:
            raise IllegalTransition(f"last agent may not commit: {after}")


def decide(row: Row, outcome: Outcome) -> Row:
    """Set the register if it is unset. Commit needs every vote; a one-phase branch its own word."""
    if row.outcome is not None:
        return row
    if outcome is Outcome.COMMITTED and row.pending:
        return row
    if any(b.form is Form.ONE_PHASE and b.vote is None for b in row.branches):
        return row
    return replace(row, outcome=outcome)


def record_results(row: Row, results: tuple[Result, ...]) -> Row:
    """Note how branches ended. Only after the decision, and only once each."""
    if row.outcome is None:
        raise IllegalTransition("a branch is finished before the decision")
    branches = list(row.branches)
    for result in results:
        branch = branches[result.seq - 1]
        if branch.actual is None:
            branches[result.seq - 1] = replace(branch, actual=result.actual)
    return replace(row, branches=tuple(branches))
