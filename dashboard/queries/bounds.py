"""Which database the records live in, and how long one page may ask it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import Error, OperationalError, connections

from coordination import conf
from dashboard.limits import QUERY_S

_CANCELLED = "57014"


class TooSlowError(Exception):
    """The query was given up after `QUERY_S`; the page says so instead of hanging."""


def alias() -> str:
    """The database alias of the coordinator's records."""
    return conf.current().transactions.using


@contextmanager
def bounded() -> Iterator[str]:
    """Statements inside end after `QUERY_S`; yields the alias.

    Not a transaction: a page that holds locks on one table while it waits for the next can
    deadlock with a migration.

    Raises:
        TooSlowError: a statement was cancelled for that reason.
    """
    using = alias()
    _run(using, f"SET statement_timeout = {int(QUERY_S * 1000)}")
    try:
        yield using
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) == _CANCELLED:
            raise TooSlowError(f"The records did not answer within {QUERY_S:g} s.") from error
        raise
    finally:
        try:
            _run(using, "RESET statement_timeout")
        except Error:
            # The connection is gone, or its transaction failed and takes the setting with it.
            connections[using].close_if_unusable_or_obsolete()


def _run(using: str, statement: str) -> None:
    with connections[using].cursor() as cursor:
        cursor.execute(statement)
