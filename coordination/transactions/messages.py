"""Which messages ask for the branches of a transaction: those of one node go together.

A node of another project that is one of `PEERS` does not reach our tables. Its messages carry a
brief, signed: all that a worker has to know of its branches, whichever phase they are asked for.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from coordination import conf
from coordination.kernel.gids import Electorate
from coordination.transactions import dispatch, peers
from coordination.transactions.coordinator import identity, store
from coordination.transactions.types import BranchState, NewBranch, NewTransaction, Phase, Snapshot

Branch = TypeVar("Branch", NewBranch, BranchState)
Args = Mapping[int, Mapping[str, Any]]


def send_first(new: NewTransaction, *, foreign: bool) -> None:
    """Ask branches that live elsewhere to prepare: those of other nodes, or those of this one.

    A worker of this node does nothing but by the rows, so its message may overtake them. One of
    another node may have the brief alone, so it must not be asked before the rows are durable.
    """
    elsewhere = [
        (Phase.PREPARE, branch)
        for branch in new.branches
        if not branch.inline and (branch.node != new.node) == foreign and not branch.after
    ]
    for phase, node, branches in _bundles(elsewhere):
        brief = None
        if peers.is_peer(node):
            brief = _brief(
                branches,
                {branch.seq: branch.args for branch in branches},
                remaining_ms=new.deadline_ms,
                electorate=new.electorate,
            )
        _send(phase, new.gid, node, branches, brief)


def send(snapshot: Snapshot, wanted: Sequence[tuple[Phase, BranchState]], *, resend: bool) -> None:
    """Ask for what the engine wants of branches. With `resend` the history tells of it."""
    for phase, node, branches in _bundles(wanted):
        brief = None
        if peers.is_peer(node):
            brief = _brief(
                branches,
                store().arguments(snapshot.gid, [branch.seq for branch in branches]),
                remaining_ms=snapshot.remaining_ms,
                outcome=snapshot.outcome,
                electorate=snapshot.electorate,
            )
        if _send(phase, snapshot.gid, node, branches, brief) and resend:
            for branch in branches:
                data = {"seq": branch.seq, "phase": phase}
                store().note(snapshot.gid, "branch.sent", seq=branch.seq, data=data, by=identity())


def _bundles(
    wanted: Sequence[tuple[Phase, Branch]],
) -> Iterator[tuple[Phase, str, list[Branch]]]:
    """What is wanted by phase and node, each at most as large as one message may be."""
    size = conf.current().transactions.branches_per_message
    grouped: dict[tuple[Phase, str], list[Branch]] = {}
    for phase, branch in wanted:
        grouped.setdefault((phase, branch.node), []).append(branch)
    for (phase, node), branches in grouped.items():
        for start in range(0, len(branches), size):
            yield phase, node, branches[start : start + size]


def _send(
    phase: Phase,
    gid: str,
    node: str,
    branches: Sequence[NewBranch] | Sequence[BranchState],
    brief: Mapping[str, Any] | None,
) -> bool:
    seqs = [branch.seq for branch in branches]
    return dispatch.send(phase, gid=gid, seqs=seqs, node=node, brief=brief)


def _brief(
    branches: Sequence[NewBranch] | Sequence[BranchState],
    args: Args,
    *,
    remaining_ms: int,
    outcome: str | None = None,
    electorate: Electorate | None = None,
) -> dict[str, Any]:
    return {
        "electorate": None if electorate is None else [electorate.branches, electorate.period],
        "remaining_ms": remaining_ms,
        "outcome": outcome,
        "branches": [
            {
                "seq": branch.seq,
                "participant": branch.participant,
                "args": args[branch.seq],
                "form": branch.form,
                "after_commit": isinstance(branch, BranchState) and branch.after_commit,
            }
            for branch in branches
        ],
    }
