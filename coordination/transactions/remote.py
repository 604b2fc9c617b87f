"""Votes and results that arrive by message from peers, which reach none of our tables."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from coordination.connections.database import StatementRefused
from coordination.exceptions import BadSignature, InvalidArgument, OutcomeUnknown
from coordination.kernel.gids import SEQ_MAX, is_gid
from coordination.transactions import peers, runner
from coordination.transactions.branches.answer import InDoubt
from coordination.transactions.coordinator import identity, store
from coordination.transactions.dispatch import VOTE_TASK
from coordination.transactions.stepping import Stepping, nobody
from coordination.transactions.types import (
    Actual,
    Ballot,
    Protocol,
    Result,
    Snapshot,
    Standing,
    Vote,
)


def receive(message: object) -> dict[str, Any]:
    """Record a vote or result of a peer's branch as if a worker of ours had it.

    Raises BadSignature for a message that is not from the node whose branch it is, InvalidArgument
    for one that makes no sense.
    """
    envelope = peers.opened(VOTE_TASK, message)
    told = envelope.arguments
    gid, seq = told.get("gid"), told.get("seq")
    if not is_gid(gid) or type(seq) is not int or not 1 <= seq <= SEQ_MAX:
        raise InvalidArgument(f"no branch {gid!r:.80}:{seq!r:.20}.")
    assert isinstance(gid, str)
    snapshot = next(iter(store().snapshots([gid])), None)
    node = None if snapshot is None else _node(snapshot, seq)
    if snapshot is None or node is None:
        raise InvalidArgument(f"no branch {gid}:{seq} is known: never begun, or forgotten.")
    if node != envelope.sender:
        raise BadSignature(f"branch {gid}:{seq} is not one of node {envelope.sender!r}.")
    facts = told.get("facts")
    if not isinstance(facts, dict):
        raise InvalidArgument(f"facts must be a dict, not {facts!r:.80}.")
    try:
        standing = _record(snapshot, seq, str(told.get("kind")), facts)
        if standing is not None and snapshot.protocol is Protocol.SAGA:
            Stepping(gid=gid, mine=nobody, changed={seq}, afresh=standing.decided_now).go_on()
        elif standing is not None and _is_next_due(standing, str(told.get("kind"))):
            runner.advance(gid, here=True)
    except (KeyError, ValueError, StatementRefused) as error:
        raise InvalidArgument(f"a message for {gid}:{seq} makes no sense: {error}.") from error
    except InDoubt as error:
        raise OutcomeUnknown(f"the vote of {gid}:{seq} is not known to last: {error}") from error
    return {"gid": gid}


def _node(snapshot: Snapshot, seq: int) -> str | None:
    """The node whose workers run the branch; None: there is no such branch."""
    return next((branch.node for branch in snapshot.branches if branch.seq == seq), None)


def _is_next_due(standing: Standing, kind: str) -> bool:
    """Whether it is up to this process to go on: a decision was made, or all is known for one."""
    if kind == "result":
        return False
    return standing.outcome is not None or standing.pending == 0


def _record(snapshot: Snapshot, seq: int, kind: str, facts: Mapping[str, Any]) -> Standing | None:
    gid = snapshot.gid
    actual = Actual(facts["actual"]) if facts.get("actual") else None
    reason = str(facts.get("reason", ""))
    if kind == "result" and actual is not None:
        return store().finish(gid, [Result(seq=seq, actual=actual, reason=reason)], by=identity())
    if kind == "precommitted":
        return store().precommitted(gid, [seq], by=identity())
    if kind != "vote":
        raise ValueError(f"kind {kind!r:.20}")
    ballot = Ballot(
        seq=seq,
        vote=Vote(facts["vote"]),
        actual=actual,
        reason=reason,
        after_commit=bool(facts.get("after_commit")),
    )
    if ballot.vote is Vote.NO and actual is Actual.ABORTED:
        # It left no tombstone there, and another attempt may prepare yet. Its end is asked for, as
        # nobody there looks for what is left prepared of transactions of ours.
        ballot = replace(ballot, actual=None)
    return runner.cast(gid, ballot, electorate=snapshot.electorate)
