"""Sagas: steps in an order, each visible at once, undone by compensations.

The order is a graph: each branch names those it comes after. With a pivot the commit is decided as
soon as the pivot has acted; what comes behind it, `Form.FORWARD`, is done after the decision, until
it succeeds. Without one, the last vote decides as everywhere.
Sources: Garcia-Molina & Salem, "Sagas" (1987); the pivot, Mehrotra et al. (1992).
"""

from coordination.transactions.protocols import two_phase
from coordination.transactions.types import BranchState, Form, Outcome, Snapshot, Vote

IN_FAVOUR = (Vote.YES, Vote.READ_ONLY)


def decision(snapshot: Snapshot) -> tuple[Outcome, str] | None:
    """The outcome to ask the register for and why, or None while votes may still come."""
    refused = [branch for branch in snapshot.branches if branch.vote is Vote.NO]
    if refused:
        return Outcome.ABORTED, f"{refused[0].participant} voted no"
    missing = _missing(snapshot)
    if not missing:
        return Outcome.COMMITTED, "every step is done that the decision waited for"
    # Once the pivot is asked it may have acted, and only its own answer tells.
    if not snapshot.expired or [branch.form for branch in missing] == [Form.PIVOT]:
        return None
    return Outcome.ABORTED, two_phase.missed(snapshot, missing)


def to_prepare(snapshot: Snapshot) -> tuple[BranchState, ...]:
    """Steps to ask for now: those for which all has voted that they come after."""
    return tuple(
        branch
        for branch in _missing(snapshot)
        if all(before.vote in IN_FAVOUR for before in _before(snapshot, branch))
    )


def to_finish(snapshot: Snapshot) -> tuple[BranchState, ...]:
    """Steps to end now.

    After an abort each when all has ended that came after it. After a commit those behind the pivot
    when all has ended that they come after, the others at once.
    """
    unended = (branch for branch in snapshot.branches if not branch.finished)
    return tuple(b for b in unended if all(one.finished for one in _first(snapshot, b)))


def _first(snapshot: Snapshot, branch: BranchState) -> tuple[BranchState, ...]:
    """What has to end before it."""
    if snapshot.outcome is Outcome.ABORTED:
        return tuple(other for other in snapshot.branches if branch.seq in other.after)
    return _before(snapshot, branch) if branch.form is Form.FORWARD else ()


def _missing(snapshot: Snapshot) -> tuple[BranchState, ...]:
    return tuple(b for b in snapshot.branches if b.vote is None and b.form is not Form.FORWARD)


def _before(snapshot: Snapshot, branch: BranchState) -> tuple[BranchState, ...]:
    return tuple(snapshot.branches[seq - 1] for seq in branch.after)
