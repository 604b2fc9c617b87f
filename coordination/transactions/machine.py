"""Pure reference of the two machines of a transaction: a branch in its own database, and the row.

The real ones are `branches/*.py` and the SQL functions of migration 0002. Contract tests hold each
of them to these tables, and the model checker explores exactly these tables, so what was proved
about them is proved about what runs.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from coordination.transactions.types import Actual, Ballot, Form, Mode, Outcome, Result, Vote

IN_FAVOUR = (Vote.YES, Vote.READ_ONLY)


class Local(StrEnum):
    """What a participant's own database knows of a branch."""

    IDLE = "idle"
    """Nothing: never ran here, or its work was rolled back without a trace."""
    PREPARED = "prepared"
    """The work is durable and undecided."""
    DONE = "done"
    """Of a saga's step: the work is durable and visible, and not compensated."""
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


STEP_PREPARE: dict[tuple[Local, Vote], tuple[Local, Vote]] = {
    (Local.IDLE, Vote.YES): (Local.DONE, Vote.YES),
    (Local.IDLE, Vote.NO): (Local.IDLE, Vote.NO),
    **{(Local.DONE, body): (Local.DONE, Vote.YES) for body in (Vote.YES, Vote.NO)},
    **{(Local.TOMBSTONE, body): (Local.TOMBSTONE, Vote.NO) for body in (Vote.YES, Vote.NO)},
}
"""As PREPARE, of a saga's step. Its action is never without its barrier, so never read-only."""

STEP_FINISH: dict[tuple[Local, Outcome], tuple[Local, Actual]] = {
    (Local.DONE, Outcome.COMMITTED): (Local.DONE, Actual.COMMITTED),
    (Local.DONE, Outcome.ABORTED): (Local.TOMBSTONE, Actual.ABORTED),
    (Local.IDLE, Outcome.ABORTED): (Local.TOMBSTONE, Actual.ABORTED),
    (Local.TOMBSTONE, Outcome.ABORTED): (Local.TOMBSTONE, Actual.ABORTED),
    (Local.IDLE, Outcome.COMMITTED): (Local.IDLE, Actual.HEURISTIC_ROLLBACK),
    (Local.TOMBSTONE, Outcome.COMMITTED): (Local.TOMBSTONE, Actual.HEURISTIC_ROLLBACK),
}
"""As FINISH, of a saga's step: an abort compensates what is done."""

PIVOT_FINISH: dict[tuple[Local, Outcome], tuple[Local, Actual]] = {
    **STEP_FINISH,
    # Nothing goes back behind it: whoever aborted did so by force.
    (Local.DONE, Outcome.ABORTED): (Local.DONE, Actual.HEURISTIC_COMMIT),
}
FORWARD_FINISH: dict[tuple[Local, Outcome], tuple[Local, Actual]] = {
    **PIVOT_FINISH,
    # The decision is what it waited for.
    (Local.IDLE, Outcome.COMMITTED): (Local.DONE, Actual.COMMITTED),
}


def prepare(local: Local, body: Vote, *, mode: Mode = Mode.XA) -> tuple[Local, Vote]:
    """What a prepare message does to a branch whose body would answer `body`."""
    return (STEP_PREPARE if mode is Mode.SAGA else PREPARE)[local, body]


def finish(
    local: Local, outcome: Outcome, *, mode: Mode = Mode.XA, form: Form = Form.PREPARE
) -> tuple[Local, Actual]:
    """What a finish message does to a branch, and how the branch has ended then."""
    return finish_table(mode, form)[local, outcome]


def finish_table(mode: Mode, form: Form) -> dict[tuple[Local, Outcome], tuple[Local, Actual]]:
    """The table that a branch is finished by."""
    if mode is not Mode.SAGA:
        return FINISH
    return {Form.PIVOT: PIVOT_FINISH, Form.FORWARD: FORWARD_FINISH}.get(form, STEP_FINISH)


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchRow:
    form: Form = Form.PREPARE
    mode: Mode = Mode.XA
    after: tuple[int, ...] = ()
    vote: Vote | None = None
    actual: Actual | None = None
    signed: bool = False

    @property
    def votes(self) -> bool:
        """Whether the decision waits for it."""
        return self.form is not Form.FORWARD


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The coordinator's row of one transaction, branches by seq - 1, with its register."""

    branches: tuple[BranchRow, ...]
    outcome: Outcome | None = None

    @property
    def pending(self) -> int:
        return sum(branch.vote is None and branch.votes for branch in self.branches)

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
        if branch.vote is not None or branch.actual is not None or not branch.votes:
            continue
        branches[ballot.seq - 1] = replace(
            branch, vote=ballot.vote, actual=ballot.actual, signed=ballot.after_commit
        )
        refused = refused or ballot.vote is Vote.NO
    counted = replace(row, branches=tuple(branches))
    _guard_commit_by_vote(row, counted, refused=refused)
    if row.outcome is None and refused:
        return _decided(counted, Outcome.ABORTED)
    if row.outcome is None and counted.pending == 0:
        return _decided(counted, Outcome.COMMITTED)
    return counted


def _decided(row: Row, outcome: Outcome) -> Row:
    """The row with its outcome, and the ends of branches to which nothing is left to do."""
    ended = tuple(
        replace(branch, actual=Actual(outcome.value))
        if branch.actual is None and _ends_with(row, branch, outcome)
        else branch
        for branch in row.branches
    )
    return replace(row, branches=ended, outcome=outcome)


def _ends_with(row: Row, branch: BranchRow, outcome: Outcome) -> bool:
    if outcome is Outcome.COMMITTED:
        return branch.mode is Mode.SAGA and branch.vote is Vote.YES and not branch.signed
    before = (row.branches[seq - 1].vote for seq in branch.after)
    return branch.vote is None and any(vote not in IN_FAVOUR for vote in before)


def _guard_commit_by_vote(before: Row, after: Row, *, refused: bool) -> None:
    for old, new in zip(before.branches, after.branches, strict=True):
        voted_now = old.vote is None and new.vote is Vote.YES
        commits = before.outcome is None and after.pending == 0 and not refused
        if voted_now and new.form is Form.LAST and not commits:
            raise IllegalTransition(f"last agent may not commit: {after}")


def decide(row: Row, outcome: Outcome) -> Row:
    """Set the register if it is unset. Commit needs every vote.

    While the vote of a branch is missing that may have committed alone, only that vote decides.
    """
    if row.outcome is not None:
        return row
    if outcome is Outcome.COMMITTED and row.pending:
        return row
    alone = (Form.ONE_PHASE, Form.PIVOT)
    if row.pending == 1 and any(b.form in alone and b.vote is None for b in row.branches):
        return row
    return _decided(row, outcome)


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
