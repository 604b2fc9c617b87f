"""What a Celery worker does with a message about branches of one transaction.

A message only says that there is something to do; the rows say what. A worker of another node may
not reach the rows: it then works from the message's brief and reports to the coordinator's node.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from coordination import conf
from coordination.exceptions import InvalidArgument, UnknownParticipant
from coordination.kernel.gids import SEQ_MAX, is_gid, node_of
from coordination.transactions import dispatch, finishing, runner, together
from coordination.transactions.branches.answer import NOT_NOW
from coordination.transactions.coordinator import store
from coordination.transactions.participants import lookup
from coordination.transactions.together import Together
from coordination.transactions.types import Form, Mode, Outcome, Vote, Work

logger = logging.getLogger(__name__)

OVERTAKEN_PAUSES_MS = (1, 2, 5, 10, 20, 50, 100)
"""How a message waits for its rows, which were sent before it and may be durable after it. One
that waits in vain is as good as lost: the sweeper sends another."""

Brief = Mapping[str, Any]
"""What `messages` tells a node that may not reach our tables."""


def prepare(gid: str, seqs: Sequence[int], brief: Brief | None = None) -> str:
    """Run and vote branches of one transaction; returns a word for the log."""
    return _attempt(gid, seqs, brief, _prepare_here, _prepare_remote)


def finish(gid: str, seqs: Sequence[int], brief: Brief | None = None) -> str:
    """End branches as the register says; returns a word for the log."""
    return _attempt(gid, seqs, brief, _finish_here, _finish_remote)


def _attempt(
    gid: str,
    seqs: Sequence[int],
    brief: Brief | None,
    here: Callable[[Sequence[Work]], None],
    remote: Callable[[Work, str], None],
) -> str:
    if not is_gid(gid) or not seqs or not all(_is_seq(seq) for seq in seqs):
        raise InvalidArgument(f"no branches {gid!r:.80}:{seqs!r:.80}.")
    try:
        ours = brief is None or node_of(gid) == conf.current().node
        works = _claim(gid, seqs, patient=ours)
        if works:
            here([placed(work) for work in works])
            return "done"
        if ours or brief is None:
            return "unknown"
        if not conf.current().transactions.remote_votes:
            logger.error("branches %s:%s are of another node; REMOTE_VOTES is off", gid, seqs)
            return "refused"
        for work in _briefed(gid, brief):
            remote(work, str(brief["coordinator"]))
    except NOT_NOW as error:
        logger.info("branches %s:%s not now: %s", gid, seqs, error)
        return "later"
    return "reported"


def _claim(gid: str, seqs: Sequence[int], *, patient: bool) -> list[Work]:
    """Claim branches; where patient, wait a moment for rows that their message has overtaken."""
    works = store().claim(gid, seqs)
    for pause_ms in OVERTAKEN_PAUSES_MS if patient else ():
        if works:
            break
        time.sleep(pause_ms / 1000)
        works = store().claim(gid, seqs)
    return works


def _is_seq(value: object) -> bool:
    return type(value) is int and 1 <= value <= SEQ_MAX


def placed(work: Work) -> Work:
    """The work with this process's word for where and how it is done, if the rows have none."""
    if work.using:
        return work
    try:
        participant = lookup(work.participant)
    except UnknownParticipant:
        return work
    return replace(work, using=participant.using, mode=participant.mode)


def _prepare_here(works: Sequence[Work]) -> None:
    _finish_here(works)  # those that were overtaken by the decision
    waiting = [work for work in works if work.vote is None and work.outcome is None]
    if waiting:
        run = Together(gid=waiting[0].gid, works=waiting)
        together.vote(run)
        together.follow(run, here=True)


def _finish_here(works: Sequence[Work]) -> None:
    unended = [work for work in works if work.actual is None and work.outcome is not None]
    if unended and unended[0].outcome is not None:
        finishing.conclude(unended, unended[0].outcome)


def _briefed(gid: str, brief: Brief) -> Iterator[Work]:
    for branch in brief["branches"]:
        work = Work(
            gid=gid,
            seq=int(branch["seq"]),
            participant=str(branch["participant"]),
            using="",
            mode=Mode.XA,
            form=Form.PREPARE,
            args=dict(branch["args"]),
            remaining_ms=int(brief["remaining_ms"]),
            outcome=Outcome(brief["outcome"]) if brief.get("outcome") else None,
            after_commit=bool(branch.get("after_commit")),
        )
        yield placed(work)


def _prepare_remote(work: Work, coordinator: str) -> None:
    if work.outcome is not None:
        _finish_remote(work, coordinator)
        return
    ballot = runner.answer(work)
    facts = {
        "vote": ballot.vote,
        "actual": ballot.actual,
        "reason": ballot.reason,
        "after_commit": ballot.after_commit,
    }
    dispatch.report("vote", gid=work.gid, seq=work.seq, node=coordinator, facts=facts)
    logger.info("branch %s:%s voted %s to %s", work.gid, work.seq, Vote(ballot.vote), coordinator)


def _finish_remote(work: Work, coordinator: str) -> None:
    if work.outcome is None:
        return
    result = finishing.end(work, work.outcome)
    facts = {"actual": result.actual, "reason": result.reason}
    dispatch.report("result", gid=work.gid, seq=work.seq, node=coordinator, facts=facts)
