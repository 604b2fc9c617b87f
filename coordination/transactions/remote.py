"""Votes and results that arrive by message from nodes without access to our tables."""

from typing import Any

from coordination.connections.database import StatementRefused
from coordination.exceptions import InvalidArgument
from coordination.kernel.gids import SEQ_MAX, is_gid
from coordination.transactions import runner
from coordination.transactions.coordinator import identity, store
from coordination.transactions.types import Actual, Ballot, Result, Vote


def receive(gid: str, seq: int, kind: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Record a remote vote or result as if a worker of ours had it.

    Raises InvalidArgument for a message that makes no sense.
    """
    if not is_gid(gid) or not isinstance(seq, int) or not 1 <= seq <= SEQ_MAX:
        raise InvalidArgument(f"no branch {gid!r:.80}:{seq!r:.20}.")
    if not isinstance(facts, dict):
        raise InvalidArgument(f"facts must be a dict, not {facts!r:.80}.")
    try:
        actual = Actual(facts["actual"]) if facts.get("actual") else None
        reason = str(facts.get("reason", ""))
        if kind == "result" and actual is not None:
            store().finish(gid, [Result(seq=seq, actual=actual, reason=reason)], by=identity())
            return {"gid": gid}
        if kind != "vote":
            raise ValueError(f"kind {kind!r}")
        ballot = Ballot(
            seq=seq,
            vote=Vote(facts["vote"]),
            actual=actual,
            reason=reason,
            after_commit=bool(facts.get("after_commit")),
        )
    except (KeyError, ValueError, StatementRefused) as error:
        raise InvalidArgument(f"a message for {gid}:{seq} makes no sense: {error}.") from error
    standing = runner.cast(gid, ballot)
    if standing is not None and standing.outcome is not None:
        runner.advance(gid, here=True)
    return {"gid": gid}
