"""What a Celery worker does with a message about one branch.

A message only says that there is something to do; the rows say what. A worker of another node may
not reach the rows: it then works from the message's brief and reports to the coordinator's node.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from coordination import conf
from coordination.connections.database import UNREACHABLE
from coordination.exceptions import InvalidArgument, UnknownParticipant
from coordination.kernel.gids import is_gid, node_of
from coordination.transactions import dispatch, finishing, runner
from coordination.transactions.branches.answer import NOT_NOW, InDoubt
from coordination.transactions.coordinator import store
from coordination.transactions.participants import lookup
from coordination.transactions.types import Form, Mode, Outcome, Vote, Work

logger = logging.getLogger(__name__)


def prepare(gid: str, seq: int, brief: Mapping[str, Any] | None = None) -> str:
    """Run and vote one branch; returns a word for the log."""
    return _attempt(gid, seq, brief, runner.prepare_branch, _prepare_remote)


def finish(gid: str, seq: int, brief: Mapping[str, Any] | None = None) -> str:
    """End one branch as the register says; returns a word for the log."""
    return _attempt(gid, seq, brief, _finish_here, _finish_remote)


def _attempt(
    gid: str,
    seq: int,
    brief: Mapping[str, Any] | None,
    here: Callable[[Work], None],
    remote: Callable[[Work, str], None],
) -> str:
    if not is_gid(gid):
        raise InvalidArgument(f"{gid!r:.80} is not a gid.")
    try:
        work = store().claim(gid, seq)
        if work is not None:
            _twice(here, placed(work))
            return "done"
        if brief is None or node_of(gid) == conf.current().node:
            return "unknown"
        if not conf.current().transactions.remote_votes:
            logger.error("branch %s:%s is of another node; REMOTE_VOTES is off", gid, seq)
            return "refused"
        remote(_briefed(gid, seq, brief), str(brief["coordinator"]))
    except NOT_NOW as error:
        logger.info("branch %s:%s not now: %s", gid, seq, error)
        return "later"
    return "reported"


def _twice(here: Callable[[Work], None], work: Work) -> None:
    """Try again at once when a connection was dead: a server's restart does that to every one."""
    try:
        here(work)
    except (InDoubt, *UNREACHABLE):
        here(work)


def placed(work: Work) -> Work:
    """The work with this process's word for where and how it is done, if the rows have none."""
    if work.using:
        return work
    try:
        participant = lookup(work.participant)
    except UnknownParticipant:
        return work
    return replace(work, using=participant.using, mode=participant.mode)


def _finish_here(work: Work) -> None:
    if work.actual is None and work.outcome is not None:
        finishing.conclude([work], work.outcome)


def _briefed(gid: str, seq: int, brief: Mapping[str, Any]) -> Work:
    work = Work(
        gid=gid,
        seq=seq,
        participant=str(brief["participant"]),
        using="",
        mode=Mode.XA,
        form=Form.PREPARE,
        args=dict(brief["args"]),
        remaining_ms=int(brief["remaining_ms"]),
        outcome=Outcome(brief["outcome"]) if brief.get("outcome") else None,
        after_commit=bool(brief.get("after_commit")),
    )
    return placed(work)


def _prepare_remote(work: Work, coordinator: str) -> None:
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
