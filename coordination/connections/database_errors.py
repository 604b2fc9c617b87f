"""What can come of a statement besides rows, and how psycopg's and Django's errors say it."""

import psycopg
from django.db import DatabaseError, InterfaceError
from django.db.backends.base.base import BaseDatabaseWrapper

from coordination.exceptions import OutcomeUnknown, StoreUnavailable

UNDEFINED_OBJECT = "42704"
NOT_IN_PREREQUISITE_STATE = "55000"

CONNECTION_FAILURES = ("08", "57P01", "57P02", "57P03", "57P05")
"""SQLSTATE prefixes after which nothing is known about the statement in flight."""


class ConnectionLost(OutcomeUnknown):
    """The connection broke after the statement was sent: it may or may not have taken effect."""


UNREACHABLE = (StoreUnavailable, ConnectionLost)
"""No answer, whether or not the statement arrived."""


class StatementRefused(Exception):
    """The server answered no. `sqlstate` says why; nothing of the statement took effect."""

    def __init__(self, message: str, *, sqlstate: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


def translate(
    error: Exception, *, connection: BaseDatabaseWrapper
) -> StatementRefused | ConnectionLost:
    """Turn an error of psycopg or of Django's wrapper into one of ours; drop a dead connection."""
    cause = error.__cause__ if isinstance(error, DatabaseError | InterfaceError) else error
    sqlstate = getattr(cause, "sqlstate", None) or ""
    raw = connection.connection
    broken = raw is None or raw.closed or raw.broken
    # Without a SQLSTATE it is psycopg's own word, or a body's that raised such an error itself.
    unanswered = not sqlstate and isinstance(cause, psycopg.OperationalError)
    if unanswered or sqlstate.startswith(CONNECTION_FAILURES) or broken:
        connection.close()
        return ConnectionLost(
            f"connection to {connection.alias!r} lost: {error}", store=connection.alias
        )
    return StatementRefused(str(error).strip(), sqlstate=sqlstate)
