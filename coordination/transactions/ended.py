"""Reads ended transactions with their branches and the sum of their events, for the judge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coordination.connections import database
from coordination.connections.database import Statement
from coordination.transactions.judging import EndedBranch, EndedTransaction, History
from coordination.transactions.types import electorate

_HEAD = (
    "t.gid, t.outcome, t.heuristic, t.version, t.decided_at, t.protocol, t.register, t.period,"
    " extract(epoch FROM clock_timestamp() - t.ended_at)::float8"
)

# Oldest first; those with a branch of this node in a database that cannot be seen now are left.
UNAUDITED = f"""
SELECT {_HEAD} FROM concord_transaction t
WHERE t.ended_at IS NOT NULL AND t.audited_at IS NULL AND NOT EXISTS (
    SELECT FROM concord_branch b
    WHERE b.transaction_id = t.gid AND b.node = %s AND b."using" = ANY(%s::text[]))
ORDER BY t.ended_at LIMIT %s
"""  # noqa: S608
NAMED = f"""
SELECT {_HEAD} FROM concord_transaction t
WHERE t.ended_at >= clock_timestamp() - %s * interval '1 millisecond' AND t.gid = ANY(%s::text[])
"""  # noqa: S608
PAGE = f"""
SELECT {_HEAD} FROM concord_transaction t
WHERE t.ended_at >= clock_timestamp() - %s * interval '1 millisecond' AND t.gid > %s
ORDER BY t.gid LIMIT %s
"""  # noqa: S608
BRANCHES = """
SELECT transaction_id, seq, participant, node, "using", mode, form, vote, actual, reason,
    finished_at
FROM concord_branch WHERE transaction_id = ANY(%s::text[]) ORDER BY transaction_id, seq
"""
HISTORIES = """
SELECT name, count(*), min(version), max(version),
    coalesce(array_agg(data->>'outcome' ORDER BY version)
        FILTER (WHERE kind IN ('transaction.decided', 'transaction.ended')), '{}')
FROM concord_event WHERE object = 'transaction' AND name = ANY(%s::text[]) GROUP BY name
"""
NO_HISTORY = History(events=0, first=0, last=0, outcomes=())


def unaudited(
    using: str, *, node: str, without: Sequence[str], limit: int
) -> list[EndedTransaction]:
    """Transactions nobody has audited, oldest end first, but for those on aliases `without`."""
    return _complete(using, Statement(UNAUDITED, (node, list(without), limit)))


def named(using: str, gids: Sequence[str], *, within_ms: int) -> list[EndedTransaction]:
    """Those among `gids` that ended within the last `within_ms`; see `page`."""
    return _complete(using, Statement(NAMED, (within_ms, list(gids))))


def page(using: str, *, after: str, limit: int, within_ms: int) -> list[EndedTransaction]:
    """A page, in gid order, of the transactions that ended within the last `within_ms`.

    What is older than the retention may be forgotten while it is being judged.
    """
    return _complete(using, Statement(PAGE, (within_ms, after, limit)))


def _complete(using: str, heads: Statement) -> list[EndedTransaction]:
    rows = database.run(using, heads)[0].rows
    if not rows:
        return []
    gids = [row[0] for row in rows]
    branches, histories = database.run(
        using, Statement(BRANCHES, (gids,)), Statement(HISTORIES, (gids,))
    )
    parts: dict[str, list[EndedBranch]] = {}
    for gid, *rest in branches.rows:
        parts.setdefault(gid, []).append(_branch(rest))
    told = {row[0]: _history(row[1:]) for row in histories.rows}
    return [
        EndedTransaction(
            gid=gid,
            outcome=outcome,
            heuristic=heuristic,
            version=version,
            decided_at=decided_at,
            ended_age_s=age_s,
            branches=tuple(parts.get(gid, ())),
            electorate=electorate(protocol, register, len(parts.get(gid, ())), period),
            history=told.get(gid, NO_HISTORY),
        )
        for gid, outcome, heuristic, version, decided_at, protocol, register, period, age_s in rows
    ]


def _branch(row: Sequence[Any]) -> EndedBranch:
    seq, participant, node, using, mode, form, vote, actual, reason, finished_at = row
    return EndedBranch(
        seq=seq,
        participant=participant,
        node=node,
        using=using,
        mode=mode,
        form=form,
        vote=vote,
        actual=actual,
        reason=reason,
        finished_at=finished_at,
    )


def _history(row: Sequence[Any]) -> History:
    events, first, last, outcomes = row
    return History(events=events, first=first, last=last, outcomes=tuple(outcomes))
