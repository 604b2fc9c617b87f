"""Witnesses and barriers in one database that nothing refers to any more, page by page.

`forgetting` takes along what is in its own node's databases. This finds the rest: branches of
this node whose transactions began at other nodes, and what a sweeper left that died in between.
Rows of a transaction are durable before any witness, so a witness without them is of a forgotten
one; but only of nodes whose rows are known to be here. Of others nothing can be asked, so theirs
are kept for one retention from when they were seen to be done.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from django.db import connections
from django.db.models.functions import Now
from django.utils import timezone

from coordination import conf
from coordination.connections import database
from coordination.connections.database import Statement
from coordination.connections.deadlines import reaching
from coordination.kernel.gids import node_of, parse_branch_gid
from coordination.transactions.branches.barrier import CANCEL, CONFIRM, TRY
from coordination.transactions.branches.precommit import OP as PRECOMMIT
from coordination.transactions.forgetting import WHY_KEPT
from coordination.transactions.tables import Barrier, Witness

PAGE = 1_000
# The order of bytes, which the index for LIKE has; "." comes right after "-".
NODES_HERE = """
SELECT n FROM unnest(%s::text[]) AS n WHERE EXISTS (
    SELECT FROM concord_transaction t
    WHERE t.gid ~>=~ (n || '-') AND t.gid ~<~ (n || '.') AND t.node = n)
"""
# Rows of a key stay a while, so that it is not used anew beside what is forgotten here.
REMEMBERED = f"""
SELECT t.gid FROM concord_transaction t
WHERE t.gid = ANY(%s::text[]) AND (t.key IS NULL OR {WHY_KEPT} <> '')
"""  # noqa: S608


class Leftovers:
    """Walks through the witnesses and barriers of the database alias `using`, round after round."""

    def __init__(self, using: str) -> None:
        self.using = using
        self._witness, self._barrier = "", ""

    def step(self) -> int:
        """Look at a page of each; returns how many rows it looked at, 0: a round is over.

        Raises what Django or `database.run` raise for this or the coordinator's database.
        """
        horizon = self._now() - timedelta(milliseconds=conf.current().transactions.retention_ms)
        return self._witnesses(horizon) + self._barriers(horizon)

    def _now(self) -> datetime:
        """By the database's own clock, where it has one."""
        if connections[self.using].vendor != "postgresql":
            return timezone.now()
        now: datetime = database.run(self.using, Statement("SELECT clock_timestamp()"))[0].rows[0][
            0
        ]
        return now

    def _witnesses(self, horizon: datetime) -> int:
        table = Witness.objects.using(self.using)
        page = table.filter(branch_gid__gt=self._witness).order_by("branch_gid")
        with reaching(self.using):
            rows = list(page.values_list("branch_gid", "at", "seen_at")[:PAGE])
        self._witness = rows[-1][0] if rows else ""
        old = {gid: seen_at for gid, at, seen_at in rows if at < horizon}
        forgotten, foreign = _sorted(old)
        new = [gid for gid in foreign if old[gid] is None]
        done = [gid for gid in foreign if (seen := old[gid]) is not None and seen < horizon]
        with reaching(self.using):
            if new:
                table.filter(branch_gid__in=new, seen_at=None).update(seen_at=Now())
            if going := [*forgotten, *done]:
                table.filter(branch_gid__in=going, at__lt=horizon).delete()
        return len(rows)

    def _barriers(self, horizon: datetime) -> int:
        table = Barrier.objects.using(self.using)
        page = table.filter(branch_gid__gt=self._barrier).order_by("branch_gid")
        with reaching(self.using):
            gids = list(page.values_list("branch_gid", flat=True).distinct()[:PAGE])
            rows = table.filter(branch_gid__in=gids)
            raised = list(rows.values_list("branch_gid", "op", "reason", "at"))
        self._barrier = gids[-1] if gids else ""
        ops: dict[str, dict[str, str]] = {}
        for gid, op, reason, _ in raised:
            ops.setdefault(gid, {})[op] = reason
        young = {gid for gid, _, _, at in raised if at >= horizon}
        over = [gid for gid in ops if gid not in young and has_ended(ops[gid])]
        forgotten, foreign = _sorted(over)
        if going := [*forgotten, *foreign]:
            with reaching(self.using):
                table.filter(branch_gid__in=going, at__lt=horizon).delete()
        return len(gids)


def has_ended(barrier: Mapping[str, str]) -> bool:
    """Whether a branch is over, by the reasons of its barrier rows. Pure.

    One that is reserved and no more is waiting for its end, whatever else is known of it. The note
    of a three-phase commit says nothing to who is left alone after so long.
    """
    if set(barrier) == {PRECOMMIT}:
        return True
    return CONFIRM in barrier or CANCEL in barrier or barrier.get(TRY) == CANCEL


def _sorted(branches: Collection[str]) -> tuple[list[str], list[str]]:
    """Of those branches, the ones of forgotten transactions, and those unknown to anybody here."""
    gids = {branch: parsed[0] for branch in branches if (parsed := parse_branch_gid(branch))}
    if not gids:
        return [], []
    settings = conf.current()
    nodes = sorted({node_of(gid) for gid in gids.values()})
    here, remembered = database.run(
        settings.transactions.using,
        Statement(NODES_HERE, (nodes,)),
        Statement(REMEMBERED, (sorted(set(gids.values())), settings.transactions.retention_ms)),
    )
    ours = {settings.node, *(row[0] for row in here.rows)}
    kept = {row[0] for row in remembered.rows}
    known = {branch for branch, gid in gids.items() if node_of(gid) in ours}
    forgotten = [branch for branch in gids if branch in known and gids[branch] not in kept]
    return forgotten, [branch for branch in gids if branch not in known]
