"""The last agent: a branch in the coordinator's own database that decides in its own commit.

Every other branch has voted yes, so its local commit can carry their votes and the outcome with its
own work: either all of that is durable or none, and a prepare, a decision write and a finish are
saved (Gray 1978, "last agent"; the register stays the one cell that is asked).
"""

from collections.abc import Callable

from coordination.connections import database
from coordination.connections.database import Statement
from coordination.failpoints import hit
from coordination.transactions.branches.answer import Refusal
from coordination.transactions.branches.body import Attempt
from coordination.transactions.coordinator import identity, store
from coordination.transactions.stores.database import standing_of
from coordination.transactions.types import Actual, Ballot, Standing, Vote, Work

COMMIT = Statement("COMMIT")


def committed_by_vote(work: Work, *, signed: bool) -> Ballot:
    """The vote of a branch committed with it; it has ended unless signatures are to be sent."""
    actual = None if signed else Actual.COMMITTED
    return Ballot(seq=work.seq, vote=Vote.YES, actual=actual, after_commit=signed)


def decide(
    attempt: Attempt, others: tuple[Ballot, ...], *, meanwhile: Callable[[], object]
) -> Standing | None:
    """Commit a body that has run together with its own vote, those of `others`, and the outcome.

    Returns how the transaction stands then; None when nothing was kept, and the attempt says why
    (an outcome that came first is a refusal of the server).
    """
    ballot = committed_by_vote(attempt.work, signed=bool(attempt.context.signatures))
    vote = store().vote_statement(
        attempt.work.gid, (*others, ballot), must_decide=True, by=identity()
    )
    hit("branch.commit.before")
    sealing = attempt.seal(vote, COMMIT)
    meanwhile()
    replies = attempt.sealed(database.answered(sealing), vote, COMMIT)
    if replies and replies[1].status != COMMIT.sql:
        attempt.kept = False
        attempt.refusal = Refusal(f"COMMIT was answered by {replies[1].status}")
    attempt.leave()
    hit("branch.commit.after")
    if attempt.kept:
        attempt.participant.tell_seen(attempt.work.args)
    return standing_of(replies[0].rows) if attempt.kept else None
