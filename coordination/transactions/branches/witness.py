"""Witness rows: proof, in the participant's own PostgreSQL, of how a branch ended.

The advisory lock of a branch is taken by whoever works on it and, being transactional, stays with
the work while it is prepared. So whoever gets the lock knows that no attempt is running or
prepared, and what the witness says then is final.
"""

import json
from typing import Any

from coordination.connections import database
from coordination.connections.database import Statement
from coordination.transactions.branches.answer import Busy

COMMITTED, TOMBSTONE = "W", "A"

READ = "SELECT kind, after_commit FROM concord_witness WHERE branch_gid = %s"
IS_PREPARED = """
SELECT EXISTS (SELECT FROM pg_prepared_xacts WHERE gid = %s AND database = current_database())"""
BURY = """
INSERT INTO concord_witness (branch_gid, kind, at)
SELECT %s, 'A', clock_timestamp() WHERE pg_try_advisory_xact_lock(hashtextextended(%s, 0))
ON CONFLICT DO NOTHING"""


def read(using: str, branch_gid: str) -> str | None:
    """Kind of the witness of a branch, or None. Never ask a replica."""
    rows = database.run(using, Statement(READ, (branch_gid,)))[0].rows
    return rows[0][0] if rows else None


def after_commit(using: str, branch_gid: str) -> list[dict[str, Any]]:
    """The signatures a committed branch asked to be sent."""
    rows = database.run(using, Statement(READ, (branch_gid,)))[0].rows
    stored = rows[0][1] if rows else None
    return (json.loads(stored) if isinstance(stored, str) else stored) or []


def is_prepared(using: str, branch_gid: str) -> bool:
    """Whether the branch is prepared and undecided in this database."""
    found: bool = database.run(using, Statement(IS_PREPARED, (branch_gid,)))[0].rows[0][0]
    return found


def bury(using: str, branch_gid: str) -> str:
    """Put a tombstone so that no later attempt can do the work; say what stands there now.

    Raises Busy while an attempt runs or is prepared.
    """
    replies = database.run(
        using, Statement(BURY, (branch_gid, branch_gid)), Statement(READ, (branch_gid,))
    )
    if not replies[1].rows:
        raise Busy(branch_gid)
    kind: str = replies[1].rows[0][0]
    return kind
