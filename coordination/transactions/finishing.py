"""Ending branches as decided, in their own databases, and recording that they ended.

A branch whose end is not certain is left unrecorded; the sweeper has it tried again.
"""

import logging
from collections.abc import Iterator, Sequence

from coordination.connections import database
from coordination.connections.database import Exchange
from coordination.exceptions import UnknownParticipant
from coordination.failpoints import hit
from coordination.kernel.backoff import backoff_ms
from coordination.kernel.gids import branch_gid
from coordination.transactions import dispatch
from coordination.transactions.branches import tcc, witness, xa
from coordination.transactions.branches.answer import NOT_NOW, Busy, InDoubt
from coordination.transactions.coordinator import identity, store
from coordination.transactions.participants import lookup
from coordination.transactions.types import Actual, Mode, Outcome, Phase, Result, Work

logger = logging.getLogger(__name__)

RETRY_BASE_MS, RETRY_CAP_MS = 500, 30_000


def conclude(works: Sequence[Work], outcome: Outcome) -> None:
    """End branches of one transaction as decided and record those that did, in one statement."""
    results = end_together(works, outcome)
    if results:
        acknowledge(works[0].gid, *results)


def end_together(works: Sequence[Work], outcome: Outcome) -> list[Result]:
    """End branches, those in different databases at once; one that cannot be ended is noted."""
    results: list[Result] = []
    for wave in _waves(works):
        started = [(work, _start(work, outcome)) for work in wave]
        database.wait(*(ending for _, ending in started if isinstance(ending, Exchange)))
        for work, ending in started:
            try:
                results.append(_ended(work, outcome, ending))
            except (UnknownParticipant, *NOT_NOW) as error:
                _delayed(work, error)
    return results


def _waves(works: Sequence[Work]) -> Iterator[list[Work]]:
    """Branches by database, one of each at a time: a connection does one thing at once."""
    left = list(works)
    while left:
        wave = list({work.using: work for work in reversed(left)}.values())
        yield wave
        left = [work for work in left if work not in wave]


def end(work: Work, outcome: Outcome) -> Result:
    """End a branch in its own database. Raises Busy or InDoubt when that is not known yet."""
    return _ended(work, outcome, _start(work, outcome))


def _start(work: Work, outcome: Outcome) -> Exchange | None:
    """Begin to end a branch; None where that is not a matter of one statement."""
    hit("branch.finish.before")
    if work.mode is Mode.TCC or not work.using:
        return None
    return xa.start_finish(work, outcome)


def _ended(work: Work, outcome: Outcome, ending: Exchange | None) -> Result:
    """Complete what `_start` began. Raises as `end` does."""
    if ending is None:
        # Without an alias nobody who knows the participant has been here, so this raises.
        result = tcc.finish(work, outcome, lookup(work.participant))
    else:
        result = xa.finished(work, outcome, database.answered(ending))
    hit("branch.finish.after")
    if result.actual is Actual.COMMITTED and work.after_commit:
        send_after_commit(work)
    return result


def acknowledge(gid: str, *results: Result) -> None:
    """Record how branches ended, and the end of the transaction with the last of them."""
    hit("branch.ack.before")
    # Nobody waits for it: until it is known, the branches would only be finished once more.
    store().post_finish(gid, results, by=identity())
    hit("branch.ack.after")


def send_after_commit(work: Work) -> None:
    """Send what the body left for after its commit, before its end is recorded: at least once.

    Raises InDoubt when the broker does not take it, so that the branch is finished again.
    """
    gid = branch_gid(work.gid, work.seq)
    read = tcc.after_commit if work.mode is Mode.TCC else witness.after_commit
    for index, payload in enumerate(read(work.using, gid)):
        if not dispatch.start(payload, task_id=f"{gid}-{index}"):
            raise InDoubt("the broker did not take what is to run after the commit")


def _delayed(work: Work, error: Exception) -> None:
    retry_ms = backoff_ms(work.attempt, base_ms=RETRY_BASE_MS, cap_ms=RETRY_CAP_MS, uniform=0.5)
    reason = f"{type(error).__name__}: {error}"[:500]
    level = logging.INFO if isinstance(error, Busy) else logging.WARNING
    logger.log(level, "branch %s:%s not finished: %s", work.gid, work.seq, reason)
    store().note(
        work.gid,
        "branch.delayed",
        seq=work.seq,
        data={
            "seq": work.seq,
            "phase": Phase.FINISH,
            "error": reason,
            "attempt": work.attempt,
            "retry_in_ms": retry_ms,
        },
        by=identity(),
        error=reason,
        retry_ms=retry_ms,
    )
