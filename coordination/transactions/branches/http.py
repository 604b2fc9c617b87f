"""`http`: prepare, then commit or cancel, in a service of any language that is called by HTTP.

What the service answered is recorded as the branch's vote or end, and nothing else is kept here: it
is asked again until its answer is recorded, and it has to answer the same for the same branch. A
prepare may reach it after the cancel that ended the branch; it has to refuse that one.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from coordination.exceptions import UnknownParticipant
from coordination.failpoints import hit
from coordination.kernel.gids import branch_gid
from coordination.transactions import services
from coordination.transactions.branches.answer import Later
from coordination.transactions.types import Actual, Ballot, Outcome, Result, Vote, Work

PREPARE, COMMIT, CANCEL = "prepare", "commit", "cancel"
REASON_CHARS_MAX = 500
VERSION = 1
CALLS_MAX = 16
"""Services of one transaction that are asked at the same time."""

T = TypeVar("T")

_VOTES = {"": Vote.YES, "yes": Vote.YES, "read_only": Vote.READ_ONLY}


def prepare(work: Work) -> Ballot:
    """The vote of the service. Raises Later when it has not answered."""
    if work.remaining_ms <= 0:
        # An earlier call may have prepared it, so the branch is not over: it has to be cancelled.
        reason = "the deadline had passed before it could be asked"
        return Ballot(seq=work.seq, vote=Vote.NO, reason=reason)
    hit("branch.prepare.before")
    said = services.ask(work.participant, question(work, PREPARE), remaining_ms=work.remaining_ms)
    hit("branch.prepare.after")
    if not said.done:
        reason = said.reason[:REASON_CHARS_MAX] or f"{work.participant} refused"
        # Its cancel is sent all the same: a call that was given up may still be under way there.
        actual = Actual.HEURISTIC_COMMIT if said.committed else None
        return Ballot(seq=work.seq, vote=Vote.NO, actual=actual, reason=reason)
    vote = _VOTES.get(said.vote)
    if vote is None:
        raise Later(f"{work.participant} answered 200 with the vote {said.vote!r:.40}")
    actual = Actual.READ_ONLY if vote is Vote.READ_ONLY else None
    return Ballot(seq=work.seq, vote=vote, actual=actual)


def finish(work: Work, outcome: Outcome) -> Result:
    """Tell the service how the branch ends. Raises Later when it has not answered."""
    committed = outcome is Outcome.COMMITTED
    phase = COMMIT if committed else CANCEL
    said = services.ask(work.participant, question(work, phase), remaining_ms=None)
    if said.done:
        return Result(seq=work.seq, actual=Actual(outcome.value))
    actual = Actual.HEURISTIC_ROLLBACK if committed else Actual.HEURISTIC_COMMIT
    reason = f"it answered {phase} with 409: {said.reason[:REASON_CHARS_MAX] or 'no reason given'}"
    return Result(seq=work.seq, actual=actual, reason=reason)


def prepare_all(works: Sequence[Work]) -> list[Ballot | Later]:
    """The votes of several services, asked at once; Later for one that has not answered."""
    return _at_once(prepare, works)


def finish_all(works: Sequence[Work], outcome: Outcome) -> list[Result | Later]:
    """How branches in several services ended, told at once; Later for one that is not known."""
    return _at_once(lambda work: finish(work, outcome), works)


def _at_once(ask: Callable[[Work], T], works: Sequence[Work]) -> list[T | Later]:
    """Each answer, in order. No thread touches a database."""

    def asked(work: Work) -> T | Later:
        try:
            return ask(work)
        except Later as later:
            return later
        except UnknownParticipant as unknown:  # another process may have its address
            return Later(str(unknown))

    if len(works) < 2:
        return [asked(work) for work in works]
    with ThreadPoolExecutor(min(len(works), CALLS_MAX)) as threads:
        return list(threads.map(asked, works))


def question(work: Work, phase: str) -> dict[str, object]:
    """What a service is asked."""
    return {
        "version": VERSION,
        "phase": phase,
        "gid": work.gid,
        "branch": branch_gid(work.gid, work.seq),
        "participant": work.participant,
        "args": work.args,
        "remaining_ms": work.remaining_ms if phase == PREPARE else None,
        "attempt": work.attempt,
    }
