"""A participant's note, in its own database, that every vote of its transaction is yes."""

from collections.abc import Sequence

from django.db import DatabaseError, InterfaceError, connections
from django.utils import timezone

from coordination.connections.deadlines import reaching
from coordination.exceptions import CoordinationError
from coordination.failpoints import hit
from coordination.transactions.branches.answer import InDoubt
from coordination.transactions.types import Work

OP = "precommit"
NOTE = """
INSERT INTO concord_barrier (branch_gid, op, reason, after_commit, at)
VALUES (%s, %s, '', NULL, %s) ON CONFLICT (branch_gid, op) DO NOTHING"""
NOTED = "SELECT 1 FROM concord_barrier WHERE branch_gid = %s AND op = %s"


def note(works: Sequence[Work]) -> list[int]:
    """Write the notes; returns the branches that have one now. Raises InDoubt when none could."""
    done: list[int] = []
    trouble: Exception | None = None
    for work in works:
        if work.using not in connections:
            trouble = InDoubt(f"{work.participant} has no database that is known here")
            continue
        try:
            hit("branch.precommit.before")
            with reaching(work.using), connections[work.using].cursor() as cursor:
                cursor.execute(NOTE, (work.branch_gid, OP, timezone.now()))
            hit("branch.precommit.after")
        except (DatabaseError, InterfaceError, CoordinationError) as error:
            connections[work.using].close()
            trouble = error
        else:
            done.append(work.seq)
    if trouble is not None and not done:
        raise InDoubt(str(trouble)) from trouble
    return done


def noted(using: str, branch_gid: str) -> bool:
    """Whether this participant knew of all votes. Raises StoreUnavailable or OutcomeUnknown."""
    with reaching(using), connections[using].cursor() as cursor:
        cursor.execute(NOTED, (branch_gid, OP))
        return cursor.fetchone() is not None
