"""Three-phase commit (Skeen 1981), finished through the write-once register.

Between the votes and the outcome every participant is told that all voted yes (the pre-commit), and
notes it in its own database. So whoever is left alone knows what to ask the register for: a commit
if it is noted, an abort if not. Skeen's participants act on that without asking, and a partition
makes them differ; here the register says which of them was first. That is also why leaders need no
epochs: any number may lead at a time, and none can contradict another.
"""

from coordination.transactions.protocols import two_phase
from coordination.transactions.types import BranchState, Mode, Outcome, Snapshot, Vote

to_prepare = two_phase.to_prepare
to_finish = two_phase.to_finish


def decision(snapshot: Snapshot) -> tuple[Outcome, str] | None:
    """The outcome to ask the register for and why, or None while answers may still come."""
    asked = two_phase.decision(snapshot)
    if asked is None or asked[0] is Outcome.ABORTED:
        return asked
    missing = to_precommit(snapshot)
    if not missing:
        return Outcome.COMMITTED, "every participant voted yes and knows of it"
    if not snapshot.expired:
        return None
    if len(missing) < len(_concerned(snapshot)):
        return Outcome.COMMITTED, "every participant voted yes, and one knows of it"
    deadline_s = snapshot.deadline_ms / 1000
    return Outcome.ABORTED, f"deadline {deadline_s:g} s passed before any participant knew of all"


def to_precommit(snapshot: Snapshot) -> tuple[BranchState, ...]:
    """Branches to tell, once every vote is yes, that it is."""
    if any(branch.vote in (None, Vote.NO) for branch in snapshot.branches):
        return ()
    return tuple(branch for branch in _concerned(snapshot) if not branch.precommitted)


def _concerned(snapshot: Snapshot) -> list[BranchState]:
    """Those that wait for the outcome in a database of Django's, where it can be noted."""
    return [
        branch
        for branch in snapshot.branches
        if branch.vote is Vote.YES and branch.mode is not Mode.HTTP
    ]
