"""What a verified call asks of a participant here, done by the code that a worker would run.

A caller may ask only for branches of its own transactions. A name that is not registered here, or
not allowed to it, is refused with a no; its cancel then sees to it that the branch can never be
prepared by another process that does know the name.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from coordination import conf
from coordination.exceptions import UnknownParticipant
from coordination.kernel.gids import branch_gid, is_gid, node_of, parse_branch_gid
from coordination.kernel.http_signatures import Request
from coordination.kernel.settings import HttpCaller
from coordination.transactions import finishing, runner
from coordination.transactions.branches import tcc, witness
from coordination.transactions.branches.answer import NOT_NOW, InDoubt
from coordination.transactions.branches.http import CANCEL, COMMIT, PREPARE, VERSION
from coordination.transactions.participants import Participant, registered
from coordination.transactions.services import DONE, NOT_YET, REFUSED
from coordination.transactions.types import Actual, Ballot, Form, Mode, Outcome, Result, Vote, Work

logger = logging.getLogger(__name__)

BAD, FORBIDDEN = 400, 403
RETRY_AFTER_S = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is answered, before it is signed."""

    status: int
    told: Mapping[str, Any] = field(default_factory=dict)
    retry_after_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a caller asks of one branch."""

    phase: str
    work: Work


class Senseless(Exception):
    """The body of a call does not say what it has to."""


def perform(request: Request, caller: HttpCaller) -> Reply:
    """Do what a verified request asks for, and say what came of it."""
    try:
        call = _read(request.body)
    except Senseless as error:
        return Reply(status=BAD, told={"reason": str(error)})
    if node_of(call.work.gid) != request.sender:
        reason = f"{call.work.gid} is no transaction of {request.sender!r}"
        return Reply(status=FORBIDDEN, told={"reason": reason})
    try:
        return _performed(call, caller)
    except (UnknownParticipant, *NOT_NOW) as error:
        logger.info("%s of %s not now: %s", call.phase, call.work.gid, error)
        reason = f"{type(error).__name__}: {error}"
        return Reply(status=NOT_YET, told={"reason": reason}, retry_after_s=RETRY_AFTER_S)


def _performed(call: Call, caller: HttpCaller) -> Reply:
    participant = _participant(call.work.participant, caller)
    if participant is None:
        return _stranger(call)
    work = replace(call.work, using=participant.using, mode=participant.mode)
    if call.phase == PREPARE:
        return _voted(runner.answer(work))
    if call.phase == COMMIT:
        # Whether its body left something for after the commit stands in its own database.
        return _ended(finishing.end(replace(work, after_commit=True), Outcome.COMMITTED))
    return _ended(finishing.end(work, Outcome.ABORTED))


def _participant(name: str, caller: HttpCaller) -> Participant | None:
    """The code of that name, if it is here, for others to call, and allowed to this caller."""
    found = registered().get(name)
    if found is None or found.place is not None or not caller.may_call(name):
        return None
    # What is called by HTTP from here is elsewhere: two services could send each other a call.
    return None if conf.current().http_service(name) is not None else found


def _stranger(call: Call) -> Reply:
    name = call.work.participant
    reason = f"participant {name!r} is not registered here, or not allowed to the caller"
    if call.phase == PREPARE:
        return Reply(status=REFUSED, told={"reason": reason})
    if call.phase == COMMIT:
        raise UnknownParticipant(reason, name=name)
    for work, participant in _wherever(call.work):
        _forbid(work, participant, reason)
    return Reply(status=DONE)


def _wherever(work: Work) -> Iterator[tuple[Work, Participant]]:
    """The work in each place where a participant of this project could have done it."""
    places = {(one.using, one.mode): one for one in registered().values() if one.place is None}
    for (using, mode), participant in places.items():
        yield replace(work, using=using, mode=mode), participant


def _forbid(work: Work, participant: Participant, reason: str) -> None:
    """Undo the branch in one database if it is there, and see that it never comes.

    Raises what is in NOT_NOW where it is there and only its own code can undo it.
    """
    gid = branch_gid(work.gid, work.seq)
    if work.mode is Mode.XA:
        # Only where it is prepared: another database of the same server refuses to end it.
        if witness.is_prepared(work.using, gid):
            finishing.end(work, Outcome.ABORTED)
        if witness.bury(work.using, gid) != witness.TOMBSTONE:
            raise InDoubt(f"branch {gid} is committed on {work.using}; {reason}")
    elif tcc.give_up(work, reason, participant).vote is not Vote.NO:
        raise InDoubt(f"branch {gid} is reserved on {work.using}; {reason}")


def _voted(ballot: Ballot) -> Reply:
    if ballot.vote is not Vote.NO:
        return Reply(status=DONE, told={"vote": ballot.vote})
    committed = {"committed": True} if ballot.actual is Actual.HEURISTIC_COMMIT else {}
    told = {"vote": ballot.vote, "reason": ballot.reason, **committed}
    return Reply(status=REFUSED, told=told)


def _ended(result: Result) -> Reply:
    if result.actual.heuristic:
        return Reply(status=REFUSED, told={"actual": result.actual, "reason": result.reason})
    return Reply(status=DONE, told={"actual": result.actual})


def _read(body: bytes) -> Call:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Senseless("the body is no JSON") from error
    if not isinstance(told, dict):
        raise Senseless("the body is no JSON object")
    if told.get("version") != VERSION:
        raise Senseless(f"version must be {VERSION}, not {told.get('version')!r:.20}")
    phase = told.get("phase")
    if phase not in (PREPARE, COMMIT, CANCEL):
        raise Senseless(f"phase must be prepare, commit or cancel, not {phase!r:.20}")
    gid, branch = told.get("gid"), told.get("branch")
    parsed = parse_branch_gid(branch) if isinstance(branch, str) else None
    if not is_gid(gid) or parsed is None or parsed[0] != gid:
        raise Senseless(f"branch {branch!r:.80} is none of a transaction {gid!r:.80}")
    name, args = told.get("participant"), told.get("args")
    if not isinstance(name, str) or not isinstance(args, dict):
        raise Senseless("participant must be a string and args an object")
    remaining_ms = told.get("remaining_ms") if phase == PREPARE else 0
    if not isinstance(remaining_ms, int):
        raise Senseless(f"remaining_ms must be a whole number, not {remaining_ms!r:.20}")
    work = Work(
        gid=parsed[0],
        seq=parsed[1],
        participant=name,
        using="",
        mode=Mode.XA,
        form=Form.PREPARE,
        args=args,
        remaining_ms=remaining_ms,
    )
    return Call(phase=phase, work=work)
