"""Barrier rows: which steps of a branch took effect in a participant's own database.

Each step puts its row up in the transaction of its work, so both are durable or neither, and a row
that stands keeps the step from happening again. On every database Django knows with
`INSERT … ON CONFLICT` (PostgreSQL, SQLite ≥ 3.24).
"""

import json
from typing import Any

from django.db import DatabaseError, InterfaceError, connections
from django.utils import timezone

from coordination.connections import database
from coordination.connections.database import ConnectionLost
from coordination.transactions.branches.answer import Busy
from coordination.transactions.branches.body import TIMEOUT_MS_MAX, Unusable

TRY, CONFIRM, CANCEL = "try", "confirm", "cancel"

FINISH_LOCK_MS = 10_000
"""How long a confirm or cancel waits for somebody else's row lock before it is tried again."""

TAKE = """
SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0)), set_config('lock_timeout', %s, true),
    set_config('statement_timeout', coalesce(%s, current_setting('statement_timeout')), true)"""
TAKE_SQLITE = "DELETE FROM concord_barrier WHERE false"
"""Takes SQLite's only write lock and removes nothing."""
RAISE_BARRIER = """
INSERT INTO concord_barrier (branch_gid, op, reason, after_commit, at)
VALUES (%s, %s, %s, NULL, %s) ON CONFLICT (branch_gid, op) DO NOTHING"""
REASON = "SELECT reason, after_commit FROM concord_barrier WHERE branch_gid = %s AND op = %s"
RESERVED = """
SELECT reason, after_commit FROM concord_barrier AS b WHERE branch_gid = %s AND op = 'try'
AND NOT EXISTS (SELECT 1 FROM concord_barrier AS c
                WHERE c.branch_gid = b.branch_gid AND c.op = 'cancel')"""
KEEP_SIGNATURES = """
UPDATE concord_barrier SET after_commit = %s WHERE branch_gid = %s AND op = 'try'"""


def after_commit(using: str, gid: str) -> list[dict[str, Any]]:
    """The signatures a confirmed branch asked to be sent."""
    row = one(using, REASON, gid, TRY)
    stored = row[1] if row else None
    return (json.loads(stored) if isinstance(stored, str) else stored) or []


def require_kept(using: str, gid: str, op: str) -> None:
    """Raise unless the work of a step and its barrier are about to be committed together.

    PostgreSQL answers COMMIT of a failed transaction with ROLLBACK and without an error.
    """
    if connections[using].needs_rollback:
        raise Unusable("its body marked the transaction for rollback")
    if one(using, REASON, gid, op) is None:
        raise Unusable("its body ended the transaction by itself")


def take(using: str, gid: str, *, lock_ms: int, statement_ms: int | None = None) -> None:
    """Keep other attempts at the branch out, and bound what it waits for, while this one lasts.

    Raises Busy when another is at it. SQLite lets one writer in at a time anyway, but one that has
    read before it writes is refused at once instead of waiting its turn: so the lock comes first.
    """
    if connections[using].vendor == "sqlite":
        execute(using, TAKE_SQLITE)
    if connections[using].vendor != "postgresql":
        return
    lock = f"{min(lock_ms, TIMEOUT_MS_MAX)}ms"
    statement = None if statement_ms is None else f"{min(statement_ms, TIMEOUT_MS_MAX)}ms"
    row = one(using, TAKE, gid, lock, statement)
    if row is None or not row[0]:
        raise Busy(gid)


def put(using: str, gid: str, op: str, reason: str) -> bool:
    """Put up a barrier row; False when it stands already."""
    return execute(using, RAISE_BARRIER, gid, op, reason, timezone.now()) == 1


def execute(using: str, sql: str, *params: Any) -> int:
    with connections[using].cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)


def one(using: str, sql: str, *params: Any) -> tuple[Any, ...] | None:
    with connections[using].cursor() as cursor:
        cursor.execute(sql, params)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row


def unreachable(using: str, error: Exception) -> bool:
    """Whether the connection is gone (and is closed then), so that nothing is known of a commit."""
    if not isinstance(error, DatabaseError | InterfaceError):
        return False
    connection = connections[using]
    # Leaving atomic(), Django may have connected anew: then only the error tells.
    if connection.vendor == "postgresql" and isinstance(
        database.translate(error, connection=connection), ConnectionLost
    ):
        return True
    if connection.connection is not None and connection.is_usable():
        return False
    connection.close()
    return True
