"""Cursors as fences: of those who go on from one place, only the first gets there."""

from __future__ import annotations

from typing import Final

from coordination.connections import database
from coordination.connections.database import Reply, Statement, StatementRefused

# Refuses (division by zero) everything beside it when the cursor is not where it was read.
_MOVE: Final = """
WITH moved AS (
    UPDATE concord_cursor SET seq = %s, updated_at = clock_timestamp()
    WHERE name = %s AND seq = %s RETURNING 1
) SELECT 1 / count(*) FROM moved
"""
_DIVIDED_BY_ZERO: Final = "22012"


class Fenced(Exception):
    """Another one moved the cursor first; nothing of the batch stands."""


def moved(name: str, *, before: int, after: int) -> Statement:
    """Moves a cursor on, and refuses when it is no longer at `before`."""
    return Statement(_MOVE, (after, name, before))


def run_fenced(using: str, *statements: Statement) -> list[Reply]:
    """Run statements with a fence among them, all or nothing.

    Raises Fenced when the cursor was no longer there, and what `database.run` raises.
    """
    try:
        # PostgreSQL takes one pipeline as one transaction.
        return database.run(using, *statements)
    except StatementRefused as refusal:
        if refusal.sqlstate == _DIVIDED_BY_ZERO:
            raise Fenced from refusal
        raise
