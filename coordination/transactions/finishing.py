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
from coordination.transactions import breakers, dispatch
from coordination.transactions.branches import barrier, http, saga, tcc, witness, xa
from coordination.transactions.branches.answer import NOT_NOW, Busy, InDoubt, Later
from coordination.transactions.coordinator import identity, store
from coordination.transactions.participants import Participant, find, lookup
from coordination.transactions.types import Actual, Form, Mode, Outcome, Phase, Result, Work

logger = logging.getLogger(__name__)

RETRY_BASE_MS, RETRY_CAP_MS = 500, 30_000


def conclude(works: Sequence[Work], outcome: Outcome) -> list[Result]:
    """End branches of one transaction as decided and record those that did, in one statement."""
    results = end_together(works, outcome)
    if results:
        acknowledge(works[0].gid, *results)
    return results


def end_together(works: Sequence[Work], outcome: Outcome) -> list[Result]:
    """End branches, those in different databases at once; one that cannot be ended is noted."""
    results: list[Result] = []
    asked = [work for work in works if _may_be_asked(work)]
    for wave in _waves([work for work in asked if work.mode is not Mode.HTTP]):
        started = [(work, _start(work, outcome)) for work in wave]
        database.wait(*(ending for _, ending in started if isinstance(ending, Exchange)))
        for work, ending in started:
            try:
                with breakers.watched(work):
                    results.append(_ended(work, outcome, ending))
            except (UnknownParticipant, *NOT_NOW) as error:
                delayed(work, Phase.FINISH, error)
    # Last, as only the others hold locks.
    services = [work for work in asked if work.mode is Mode.HTTP]
    return results + _end_in_services(services, outcome)


def _end_in_services(works: Sequence[Work], outcome: Outcome) -> list[Result]:
    for _ in works:
        hit("branch.finish.before")
    results: list[Result] = []
    for work, said in zip(works, http.finish_all(works, outcome), strict=True):
        try:
            with breakers.watched(work):
                if not isinstance(said, Result):
                    raise said
        except Later as error:
            delayed(work, Phase.FINISH, error)
        else:
            hit("branch.finish.after")
            results.append(said)
    return results


def _may_be_asked(work: Work) -> bool:
    """Whether its participant is not known to be unavailable; else it is noted, and waits."""
    refused = breakers.asked(work)
    if refused is not None:
        delayed(work, Phase.FINISH, InDoubt(refused.reason), wait_ms=refused.retry_ms)
    return refused is None


def _waves(works: Sequence[Work]) -> Iterator[list[Work]]:
    """Branches by database, one of each at a time: a connection does one thing at once."""
    left = list(works)
    while left:
        wave = list({work.using: work for work in reversed(left)}.values())
        yield wave
        left = [work for work in left if work not in wave]


def end(work: Work, outcome: Outcome) -> Result:
    """End a branch in its own database. Raises Busy or InDoubt when that is not known yet."""
    refused = breakers.asked(work)
    if refused is not None:
        raise InDoubt(refused.reason)
    with breakers.watched(work):
        return _ended(work, outcome, _start(work, outcome))


def _start(work: Work, outcome: Outcome) -> Exchange | None:
    """Begin to end a branch; None where that is not a matter of one statement."""
    hit("branch.finish.before")
    if work.mode is not Mode.XA or not work.using or _is_forward(work, outcome):
        return None
    return xa.start_finish(work, outcome)


def _ended(work: Work, outcome: Outcome, ending: Exchange | None) -> Result:
    """Complete what `_start` began. Raises as `end` does."""
    if work.mode is Mode.HTTP:
        result = http.finish(work, outcome)
    elif ending is None:
        # Without an alias nobody who knows the participant has been here, so this raises.
        result = _end_by_code(work, outcome, lookup(work.participant))
    else:
        result = xa.finished(work, outcome, database.answered(ending))
        participant = find(work.participant)
        if result.actual is Actual.COMMITTED and participant is not None:
            participant.tell_seen(work.args)
    hit("branch.finish.after")
    if result.actual is Actual.COMMITTED and (work.after_commit or _is_forward(work, outcome)):
        send_after_commit(work)
    return result


def _is_forward(work: Work, outcome: Outcome) -> bool:
    """Whether it is now that its body is run, for it had no vote."""
    return work.form is Form.FORWARD and outcome is Outcome.COMMITTED


def _end_by_code(work: Work, outcome: Outcome, participant: Participant) -> Result:
    if _is_forward(work, outcome):
        return saga.forward(work, participant)
    finish = saga.finish if work.mode is Mode.SAGA else tcc.finish
    return finish(work, outcome, participant)


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
    gid = work.branch_gid
    read = witness.after_commit if work.mode is Mode.XA else barrier.after_commit
    for index, payload in enumerate(read(work.using, gid)):
        if not dispatch.start(payload, task_id=f"{gid}-{index}"):
            raise InDoubt("the broker did not take what is to run after the commit")


def delayed(work: Work, phase: Phase, error: Exception, *, wait_ms: int = 0) -> None:
    """Record why a branch has not done what a phase asks for, and when it is asked again."""
    retry_ms = backoff_ms(work.attempt, base_ms=RETRY_BASE_MS, cap_ms=RETRY_CAP_MS, uniform=0.5)
    retry_ms = max(retry_ms, wait_ms)
    reason = f"{type(error).__name__}: {error}"[:500]
    if isinstance(error, Later):
        retry_ms = max(retry_ms, error.retry_ms)
    level = logging.INFO if isinstance(error, Busy) else logging.WARNING
    logger.log(level, "branch %s:%s, %s not now: %s", work.gid, work.seq, phase, reason)
    store().note(
        work.gid,
        "branch.delayed",
        seq=work.seq,
        data={
            "seq": work.seq,
            "phase": phase,
            "error": reason,
            "attempt": work.attempt,
            "retry_in_ms": retry_ms,
        },
        by=identity(),
        error=reason,
        retry_ms=retry_ms,
    )
