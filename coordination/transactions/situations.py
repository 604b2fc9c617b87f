"""Reads the situation of transactions from the coordinator's rows, and explains it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.db import connections

from coordination import conf
from coordination.connections import database
from coordination.connections.database import Statement
from coordination.exceptions import InvalidArgument
from coordination.kernel.gids import Electorate, branch_gid, is_gid
from coordination.transactions import peers, radius
from coordination.transactions.explaining import (
    BranchSituation,
    Explanation,
    Radius,
    Situation,
    explain,
)
from coordination.transactions.types import Form, Mode, Outcome, Vote

_MS = "(extract(epoch FROM {}) * 1000)::bigint"
SITUATIONS = f"""
SELECT t.gid, t.name, t.outcome, t.reason, t.ended_at IS NOT NULL, t.heuristic,
    NOT EXISTS (SELECT FROM concord_violation v WHERE v.verdict = 'atomicity' AND v.gid = t.gid
        AND v.acknowledged_at IS NULL)
        AND EXISTS (SELECT FROM concord_violation v WHERE v.verdict = 'atomicity'
            AND v.gid = t.gid),
    {_MS.format("clock_timestamp() - t.created_at")},
    {_MS.format("t.deadline_at - clock_timestamp()")},
    {_MS.format("clock_timestamp() - t.decided_at")},
    {_MS.format("t.next_at - clock_timestamp()")},
    t.outcome IS NOT NULL AND t.then_signature IS NOT NULL AND t.continued_at IS NULL,
    t.register, t.period, concord_electorate(t),
    b.seq, b.participant, b.node, b."using", b.mode, b.form, b.vote, b.actual IS NOT NULL,
    b.attempts, b.last_error, {_MS.format("b.next_at - clock_timestamp()")}
FROM concord_transaction t JOIN concord_branch b ON b.transaction_id = t.gid
WHERE t.gid = ANY(%s::text[]) ORDER BY t.created_at, t.gid, b.seq
"""  # noqa: S608
# Only what has not ended has a turn, so this reads no more than that.
STUCK = """
SELECT gid FROM concord_transaction WHERE next_at IS NOT NULL AND (
    decided_at < clock_timestamp() - %s * interval '1 millisecond'
    OR outcome IS NULL AND deadline_at < clock_timestamp() - %s * interval '1 millisecond')
ORDER BY created_at LIMIT %s
"""


def explained(gid: str) -> Explanation:
    """Why a transaction is where it is; if it is stuck, with what its branches hold up.

    Raises InvalidArgument for one that is not known here.
    """
    found = read([gid]) if is_gid(gid) else []
    if not found:
        raise InvalidArgument(f"no transaction {gid!r:.80} is known: never begun, or forgotten.")
    return _explained(found[0])


def stuck(*, limit: int = 20) -> list[Explanation]:
    """The transactions that a person ought to look at because they do not end, oldest first."""
    settings = conf.current().transactions
    values = (settings.stuck_ms, settings.patience_ms, limit)
    rows = database.run(settings.using, Statement(STUCK, values))[0].rows
    return [_explained(one) for one in read([row[0] for row in rows])]


def read(gids: Sequence[str]) -> list[Situation]:
    """Those of `gids` that are known here, oldest first."""
    using = conf.current().transactions.using
    rows = database.run(using, Statement(SITUATIONS, (list(gids),)))[0].rows
    branches: dict[str, list[BranchSituation]] = {}
    heads: dict[str, tuple[Any, ...]] = {}
    for row in rows:
        heads[row[0]] = row[:15]
        branches.setdefault(row[0], []).append(_branch(row[15:]))
    return [_situation(head, tuple(branches[gid])) for gid, head in heads.items()]


def _explained(found: Situation) -> Explanation:
    settings = conf.current().transactions
    told = explain(found, stuck_ms=settings.stuck_ms, patience_ms=settings.patience_ms)
    # Of what goes on well nobody asks, and its databases are busy with it.
    return told if found.ended or not told.stuck else replace(told, radius=tuple(_radius(found)))


def _radius(found: Situation) -> list[Radius]:
    node, by_database = conf.current().node, dict[str, list[str]]()
    for branch in found.branches:
        ours = branch.node == node and branch.using in connections.databases
        if ours and branch.mode is Mode.XA and not branch.ended:
            prepared = branch_gid(found.gid, branch.seq, found.electorate)
            by_database.setdefault(branch.using, []).append(prepared)
    return [
        one
        for using, gids in sorted(by_database.items())
        if connections[using].vendor == "postgresql"
        for one in radius.read(using, gids)
    ]


def _situation(head: tuple[Any, ...], branches: tuple[BranchSituation, ...]) -> Situation:
    gid, name, outcome, reason, ended, heuristic, acknowledged, age, left, *rest = head
    decided, turn, then, register, period, voters = rest
    return Situation(
        gid=gid,
        name=name,
        outcome=Outcome(outcome) if outcome else None,
        reason=reason,
        ended=ended,
        heuristic=heuristic,
        acknowledged=acknowledged,
        age_ms=age,
        remaining_ms=left,
        decided_age_ms=decided,
        turn_ms=turn,
        continues=then,
        branches=branches,
        register=register,
        electorate=None if voters is None else Electorate(branches=voters, period=period),
    )


def _branch(row: tuple[Any, ...]) -> BranchSituation:
    seq, participant, node, using, mode, form, vote, ended, attempts, error, retry_ms = row
    return BranchSituation(
        seq=seq,
        participant=participant,
        node=node,
        using=using,
        mode=Mode(mode),
        form=Form(form),
        vote=Vote(vote) if vote else None,
        ended=ended,
        attempts=attempts,
        error=error,
        retry_ms=retry_ms,
        peer=peers.is_peer(node),
    )
