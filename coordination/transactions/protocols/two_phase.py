"""Two-phase commit with a write-once register (Gray 1978; register form after Gray & Lamport 2006).

Nobody presumes: a missing vote becomes an abort only by asking the register, and a vote that came
in meanwhile wins or loses there.
"""

from collections.abc import Sequence

from coordination.transactions.types import BranchState, Form, Outcome, Snapshot, Vote


def decision(snapshot: Snapshot) -> tuple[Outcome, str] | None:
    """The outcome to ask the register for and why, or None while votes may still come."""
    refused = [branch for branch in snapshot.branches if branch.vote is Vote.NO]
    if refused:
        return Outcome.ABORTED, f"{refused[0].participant} voted no"
    missing = [branch for branch in snapshot.branches if branch.vote is None]
    if not missing:
        return Outcome.COMMITTED, "every participant voted yes"
    if not snapshot.expired or any(branch.form is Form.ONE_PHASE for branch in missing):
        return None
    return Outcome.ABORTED, missed(snapshot, missing)


def missed(snapshot: Snapshot, missing: Sequence[BranchState]) -> str:
    """Why a transaction is aborted whose deadline has passed."""
    names = ", ".join(branch.participant for branch in missing)
    return f"deadline {snapshot.deadline_ms / 1000:g} s passed before {names} voted"


def to_prepare(snapshot: Snapshot) -> tuple[BranchState, ...]:
    """Branches to ask for their vote now: all at once, the last agent when it is alone."""
    missing = tuple(branch for branch in snapshot.branches if branch.vote is None)
    others = tuple(branch for branch in missing if branch.form is not Form.LAST)
    return others or missing


def to_finish(snapshot: Snapshot) -> tuple[BranchState, ...]:
    """Branches to end now, as decided: all at once."""
    return tuple(branch for branch in snapshot.branches if not branch.finished)
