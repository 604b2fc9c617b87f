"""Reads from one participant's database what it says about branches: witnesses, barriers, prepared.

One round trip a database, whatever the number of branches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import django.db
from django.db import connections

from coordination.connections import database
from coordination.connections.database import UNREACHABLE, Statement, StatementRefused
from coordination.transactions.judging import Proofs
from coordination.transactions.tables import Barrier, Witness

DEADLINE_MS = 3_000

WITNESSES = "SELECT branch_gid, kind FROM concord_witness WHERE branch_gid = ANY(%s::text[])"
BARRIERS = "SELECT branch_gid, op, reason FROM concord_barrier WHERE branch_gid = ANY(%s::text[])"
# The view shows the whole cluster.
PREPARED = """
SELECT gid, prepared FROM pg_prepared_xacts
WHERE database = current_database() AND gid LIKE 'cc:%' ORDER BY prepared
"""


class Unseen(Exception):
    """The database cannot be asked now; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A prepared branch as PostgreSQL lists it."""

    branch_gid: str
    using: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one database says."""

    witnesses: Sequence[tuple[str, str]]
    barriers: Sequence[tuple[str, str, str]]
    prepared: Sequence[Prepared]


def read(using: str, branch_gids: Sequence[str]) -> Found:
    """Witnesses and barriers of `branch_gids`, and all branches prepared there. Raises Unseen."""
    try:
        if connections[using].vendor == "postgresql":
            return _read_postgresql(using, list(branch_gids))
        return _read_any(using, branch_gids)
    except (StatementRefused, django.db.Error, *UNREACHABLE) as error:
        connections[using].close()
        raise Unseen(f"{using}: {str(error).strip().splitlines()[0]}") from error


def _read_postgresql(using: str, gids: list[str]) -> Found:
    witnesses, barriers, prepared = database.run(
        using,
        Statement(WITNESSES, (gids,)),
        Statement(BARRIERS, (gids,)),
        Statement(PREPARED),
        deadline_ms=DEADLINE_MS,
    )
    return Found(
        witnesses=[(gid, kind) for gid, kind in witnesses.rows],
        barriers=[(gid, op, reason) for gid, op, reason in barriers.rows],
        prepared=[Prepared(branch_gid=gid, using=using, at=at) for gid, at in prepared.rows],
    )


def _read_any(using: str, gids: Sequence[str]) -> Found:
    witnesses = Witness.objects.using(using).filter(branch_gid__in=gids)
    barriers = Barrier.objects.using(using).filter(branch_gid__in=gids)
    return Found(
        witnesses=list(witnesses.values_list("branch_gid", "kind")),
        barriers=list(barriers.values_list("branch_gid", "op", "reason")),
        prepared=[],
    )


def together(found: Iterable[Found]) -> Proofs:
    """What several databases say, as the judge takes it."""
    witnesses: dict[str, str] = {}
    barriers: dict[str, dict[str, str]] = {}
    prepared: set[str] = set()
    for one in found:
        witnesses.update(one.witnesses)
        prepared.update(branch.branch_gid for branch in one.prepared)
        for gid, op, reason in one.barriers:
            barriers.setdefault(gid, {})[op] = reason
    return Proofs(witnesses=witnesses, barriers=barriers, prepared=frozenset(prepared))
