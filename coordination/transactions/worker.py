"""What a Celery worker does with a message about branches of one transaction.

A message only says that there is something to do; the rows say what. A worker of a peer does not
reach the rows: it works from the signed brief of the message and reports to the coordinator's node.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from coordination.exceptions import BadSignature, InvalidArgument
from coordination.kernel.gids import SEQ_MAX, Electorate, is_gid, node_of
from coordination.transactions import dispatch, finishing, peers, runner, together
from coordination.transactions.branches import precommit
from coordination.transactions.branches.answer import NOT_NOW
from coordination.transactions.coordinator import store
from coordination.transactions.stepping import Stepping, of_this_node, placed
from coordination.transactions.together import Together
from coordination.transactions.types import Form, Mode, Outcome, Phase, Protocol, Vote, Work

logger = logging.getLogger(__name__)

OVERTAKEN_PAUSES_MS = (1, 2, 5, 10, 20, 50, 100)
"""How a message waits for its rows, which were sent before it and may be durable after it. One
that waits in vain is as good as lost: the sweeper sends another."""

Brief = Mapping[str, Any]
"""What `messages` tells a node that does not reach our tables."""


def prepare(gid: str, seqs: Sequence[int]) -> str:
    """Run and vote branches of one transaction; returns a word for the log."""
    return _attempt(Phase.PREPARE, gid, seqs)


def finish(gid: str, seqs: Sequence[int]) -> str:
    """End branches as the register says; returns a word for the log."""
    return _attempt(Phase.FINISH, gid, seqs)


def precommit_branches(gid: str, seqs: Sequence[int]) -> str:
    """Note for branches that every vote is yes; returns a word for the log."""
    return _attempt(Phase.PRECOMMIT, gid, seqs)


def asked(phase: Phase, message: object) -> str:
    """Do what the sealed message of a peer asks for; returns a word for the log."""
    try:
        envelope = peers.opened(dispatch.TASKS[phase], message)
    except BadSignature:
        return "refused"
    gid, seqs = envelope.arguments["gid"], envelope.arguments["seqs"]
    if not is_gid(gid) or node_of(gid) != envelope.sender:
        logger.error("refused a message of %s about %r: not its own", envelope.sender, gid)
        return "refused"
    return _attempt(phase, gid, seqs, envelope.arguments["brief"])


def _attempt(phase: Phase, gid: str, seqs: Sequence[int], brief: Brief | None = None) -> str:
    if not is_gid(gid) or not seqs or not all(_is_seq(seq) for seq in seqs):
        raise InvalidArgument(f"no branches {gid!r:.80}:{seqs!r:.80}.")
    here, remote = _DEEDS[phase]
    try:
        works = _claim(gid, seqs, patient=brief is None)
        if works:
            here([placed(work) for work in works])
            return "done"
        if brief is None:
            return "unknown"
        for work in _briefed(gid, brief):
            remote(work)
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


def _prepare_here(works: Sequence[Work]) -> None:
    if works[0].protocol is Protocol.SAGA:
        _step(works[0].gid, lambda stepping: stepping.prepare(works))
        return
    _finish_here(works)  # those that were overtaken by the decision
    waiting = [work for work in works if work.vote is None and work.outcome is None]
    if waiting:
        run = Together(gid=waiting[0].gid, works=waiting)
        together.vote(run)
        together.follow(run, here=True)


def _finish_here(works: Sequence[Work]) -> None:
    if works[0].protocol is Protocol.SAGA:
        _step(works[0].gid, lambda stepping: stepping.finish(works))
        return
    unended = [work for work in works if work.actual is None and work.outcome is not None]
    if unended and unended[0].outcome is not None:
        finishing.conclude(unended, unended[0].outcome)


def _precommit_here(works: Sequence[Work]) -> None:
    if any(work.outcome is not None for work in works):
        _finish_here(works)
    elif runner.precommit_here(works):
        runner.advance(works[0].gid, here=True)


def _precommit_remote(work: Work) -> None:
    precommit.note([work])
    dispatch.report("precommitted", gid=work.gid, seq=work.seq, node=node_of(work.gid), facts={})


def _step(gid: str, begin: Callable[[Stepping], None]) -> None:
    """Do what a message asks for of a saga, and what that makes possible.

    A message to prepare that the decision has overtaken does nothing: what it named may be ended
    only in its turn.
    """
    stepping = Stepping(gid=gid, mine=of_this_node)
    begin(stepping)
    if stepping.changed or stepping.afresh:
        stepping.go_on()


def _briefed(gid: str, brief: Brief) -> Iterator[Work]:
    for branch in brief["branches"]:
        work = Work(
            gid=gid,
            seq=int(branch["seq"]),
            participant=str(branch["participant"]),
            using="",
            mode=Mode.XA,
            form=Form(branch.get("form", Form.PREPARE)),
            args=dict(branch["args"]),
            remaining_ms=int(brief["remaining_ms"]),
            outcome=Outcome(brief["outcome"]) if brief.get("outcome") else None,
            after_commit=bool(branch.get("after_commit")),
            electorate=Electorate(*told) if (told := brief.get("electorate")) else None,
        )
        yield placed(work)


def _prepare_remote(work: Work) -> None:
    if work.outcome is not None:
        _finish_remote(work)
        return
    ballot = runner.answer(work)
    facts = {
        "vote": ballot.vote,
        "actual": ballot.actual,
        "reason": ballot.reason,
        "after_commit": ballot.after_commit,
    }
    dispatch.report("vote", gid=work.gid, seq=work.seq, node=node_of(work.gid), facts=facts)
    logger.info("branch %s:%s voted %s", work.gid, work.seq, Vote(ballot.vote))


def _finish_remote(work: Work) -> None:
    if work.outcome is None:
        return
    result = finishing.end(work, work.outcome)
    facts = {"actual": result.actual, "reason": result.reason}
    dispatch.report("result", gid=work.gid, seq=work.seq, node=node_of(work.gid), facts=facts)


_DEEDS: Mapping[Phase, tuple[Callable[[Sequence[Work]], None], Callable[[Work], None]]] = {
    Phase.PREPARE: (_prepare_here, _prepare_remote),
    Phase.PRECOMMIT: (_precommit_here, _precommit_remote),
    Phase.FINISH: (_finish_here, _finish_remote),
}
"""What each phase means for branches whose rows were found, and for one that has its brief."""
