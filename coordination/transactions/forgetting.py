"""Forgets transactions whose retention is over, in small batches; any number may run.

First what the branches have left in this node's databases, then the rows. So there is never a row
of a later transaction of the same key beside a witness of the former one, which would answer for
it. While the rows are there they refuse whatever comes late; when they are gone, there is nothing
left that it could be about, and it does nothing either.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import django.db
from django.db import connections

from coordination import conf
from coordination.connections import database
from coordination.connections.database import UNREACHABLE, Statement, StatementRefused
from coordination.connections.deadlines import reaching
from coordination.exceptions import CoordinationError
from coordination.failpoints import hit
from coordination.kernel.gids import Electorate, branch_gid
from coordination.transactions import orphans
from coordination.transactions.tables import Barrier, Witness

logger = logging.getLogger(__name__)

PAGE = 200
ELSEWHERE_TIMES = 3
"""Retentions after its end until other nodes have forgotten their branches, too. They count from
when they have seen one to be old, which is a retention after it was prepared at the latest."""


class Kept(StrEnum):
    """Why a transaction is not forgotten."""

    UNFINISHED = "unfinished"
    """Not every branch has ended."""
    YOUNG = "young"
    """Its retention is not over. It begins with the end, but not before the deadline: a body that
    was paused until then must still meet what is known of it."""
    UNAUDITED = "unaudited"
    """Nobody has judged it: `concord observe` is not running, or cannot see a database of its."""
    UNACKNOWLEDGED = "unacknowledged"
    """A heuristic outcome or another violation that nobody has acknowledged."""
    UNOBSERVED = "unobserved"
    """The observer has not read all its events."""
    ELSEWHERE = "elsewhere"
    """Its key could be used anew while other projects still remember their branches."""
    PREPARED = "prepared"
    """A branch is prepared, after its end."""
    UNSEEN = "unseen"
    """A database of its branches does not answer."""


# Takes the retention in ms. All times are the coordinator database's own.
WHY_KEPT = """
CASE WHEN t.ended_at IS NULL THEN 'unfinished'
    WHEN greatest(t.ended_at, t.deadline_at) >= clock_timestamp() - %s * interval '1 millisecond'
        THEN 'young'
    WHEN t.audited_at IS NULL THEN 'unaudited'
    WHEN EXISTS (SELECT FROM concord_violation v WHERE v.verdict = 'atomicity' AND v.gid = t.gid
            AND v.acknowledged_at IS NULL)
        OR t.heuristic <> '' AND NOT EXISTS (SELECT FROM concord_violation v
            WHERE v.verdict = 'atomicity' AND v.gid = t.gid) THEN 'unacknowledged'
    WHEN EXISTS (SELECT FROM concord_event e WHERE e.object = 'transaction' AND e.name = t.gid
            AND e.seq IS NULL) THEN 'unobserved'
    ELSE '' END"""
CANDIDATES = f"""
SELECT t.gid, t.created_at, {WHY_KEPT},
    t.key IS NOT NULL AND b.elsewhere
        AND t.ended_at >= clock_timestamp() - %s * interval '1 millisecond',
    b.seqs, b.usings, concord_electorate(t), t.period
FROM concord_transaction t CROSS JOIN LATERAL (
    SELECT coalesce(bool_or(node <> t.node), false) AS elsewhere,
        array_agg(seq::int ORDER BY seq) FILTER (WHERE node = t.node) AS seqs,
        array_agg("using"::text ORDER BY seq) FILTER (WHERE node = t.node) AS usings
    FROM concord_branch WHERE transaction_id = t.gid
) b
WHERE t.created_at < clock_timestamp() - %s * interval '1 millisecond' AND t.node = %s
    AND (%s::timestamptz IS NULL OR (t.created_at, t.gid) > (%s::timestamptz, %s))
ORDER BY t.created_at, t.gid LIMIT %s
"""  # noqa: S608
# A key's violation would hide that of a later transaction of the same key.
FORGET = f"""
WITH old AS (
    SELECT t.gid, t.key FROM concord_transaction t
    WHERE t.gid = ANY(%s::text[]) AND {WHY_KEPT} = '' ORDER BY t.gid FOR UPDATE SKIP LOCKED
), branches AS (
    DELETE FROM concord_branch b USING old WHERE b.transaction_id = old.gid
), events AS (
    DELETE FROM concord_event e USING old WHERE e.object = 'transaction' AND e.name = old.gid
), records AS (
    DELETE FROM concord_transaction_record r USING old WHERE r.gid = old.gid
), violations AS (
    DELETE FROM concord_violation v USING old
    WHERE v.verdict = 'atomicity' AND v.gid = old.gid AND old.key IS NOT NULL
), rows AS (
    DELETE FROM concord_transaction t USING old WHERE t.gid = old.gid RETURNING t.gid
) SELECT count(*) FROM rows
"""  # noqa: S608


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A transaction that began longer ago than the retention."""

    gid: str
    began_at: datetime
    kept: Kept | None
    """Why it stays; None: it may be forgotten."""
    places: tuple[tuple[str, str], ...]
    """Its branches of this node: database and branch gid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is prepared in this node's databases, and which of them do not answer."""

    prepared: frozenset[str]
    dead: frozenset[str]


class Forgetter:
    """Goes through this node's old transactions, oldest first, and round again."""

    def __init__(self) -> None:
        self._after: Candidate | None = None

    def step(self) -> int:
        """Forget what may be of the next batch; returns how many it held, 0: a round is over.

        Raises what `database.run` raises for the coordinator's database.
        """
        found = candidates(after=self._after)
        self._after = found[-1] if found else None
        going = [each for each in found if each.kept is None]
        if going:
            logger.info("forgot %s transactions", _forget(going))
        return len(found)


def candidates(*, after: Candidate | None = None, limit: int = PAGE) -> list[Candidate]:
    """Transactions of this node that began before the retention, oldest first, with their fate."""
    settings = conf.current()
    kept_ms = settings.transactions.retention_ms
    at, gid = (None, "") if after is None else (after.began_at, after.gid)
    values = (kept_ms, ELSEWHERE_TIMES * kept_ms, kept_ms, settings.node, at, at, gid, limit)
    rows = database.run(settings.transactions.using, Statement(CANDIDATES, values))[0].rows
    sight = _look({using for row in rows if not row[2] for using in row[5] or ()})
    return [_candidate(row, sight) for row in rows]


def _look(aliases: set[str]) -> Sight:
    prepared, dead = set[str](), set[str]()
    for using in aliases & set(connections.databases):
        if connections[using].vendor != "postgresql":
            continue
        try:
            prepared |= {each.branch_gid for each in orphans.prepared(using)}
        except (StatementRefused, *UNREACHABLE) as error:
            logger.warning("nothing of %s is forgotten: %s", using, error)
            dead.add(using)
    return Sight(prepared=frozenset(prepared), dead=frozenset(dead))


def _candidate(row: Sequence[Any], sight: Sight) -> Candidate:
    gid, began_at, why, elsewhere, seqs, usings, voters, period = row
    electorate = None if voters is None else Electorate(branches=voters, period=period)
    places = tuple(
        (using, branch_gid(gid, seq, electorate))
        for seq, using in zip(seqs or (), usings or (), strict=True)
    )
    kept = Kept(why) if why else None
    if kept is None and elsewhere:
        kept = Kept.ELSEWHERE
    if kept is None and any(branch in sight.prepared for _, branch in places):
        kept = Kept.PREPARED
    if kept is None and any(using in sight.dead for using, _ in places):
        kept = Kept.UNSEEN
    return Candidate(gid=gid, began_at=began_at, kept=kept, places=places)


def _forget(going: Sequence[Candidate]) -> int:
    blind = _forget_branches(going)
    hit("forget.branches.after")
    gids = [each.gid for each in going if not any(using in blind for using, _ in each.places)]
    settings = conf.current().transactions
    # Nobody waits for it: what a power cut brings back is forgotten once more.
    rows = database.run(settings.using, Statement(FORGET, (gids, settings.retention_ms)))[0].rows
    hit("forget.rows.after")
    return int(rows[0][0])


def _forget_branches(going: Sequence[Candidate]) -> set[str]:
    """Delete what branches have left in this node's databases; returns those that do not answer."""
    by_database: dict[str, list[str]] = {}
    for each in going:
        for using, branch in each.places:
            by_database.setdefault(using, []).append(branch)
    blind = set[str]()
    for using, branches in sorted(by_database.items()):
        if using not in connections.databases:
            continue  # of a database that was given up; nothing can be run there any more
        try:
            with reaching(using):
                for table in (Witness, Barrier):
                    table.objects.using(using).filter(branch_gid__in=branches).delete()
        except (django.db.Error, CoordinationError) as error:
            logger.warning("nothing of %s is forgotten: %s", using, error)
            connections[using].close()
            blind.add(using)
    return blind
