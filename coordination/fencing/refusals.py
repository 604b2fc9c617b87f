"""What the trigger's refusal looks like to a client, and as which error it is raised here."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError

from coordination.exceptions import StaleToken

# Classes of SQLSTATE from I to Z are free for applications.
SQLSTATE = "ST001"


@contextmanager
def stale_tokens(using: str = "default") -> Iterator[None]:
    """Raise StaleToken where the trigger refuses a statement of this block.

    As after any error of PostgreSQL, an `atomic()` block around it has to be rolled back.
    """
    try:
        yield
    except DatabaseError as error:
        if getattr(error.__cause__, "sqlstate", None) != SQLSTATE:
            raise
        told = str(error).partition("\n")[0]
        raise StaleToken(f"{told}.", store=using, reason=told) from error
