"""What the trigger's refusal looks like to a client, and as which error it is raised here."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError

from coordination.exceptions import StaleToken
from coordination.fencing.telling import telling

# Classes of SQLSTATE from I to Z are free for applications.
SQLSTATE = "ST001"
TOLD = re.compile(r"a row of (.+) was written with token (\d+); (\d+) is older")
"""What the trigger of `FenceTrigger` says: table, the token that stands, the one that came."""


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
        with telling(None):
            raise _stale(str(error).partition("\n")[0], using) from error


def _stale(told: str, using: str) -> StaleToken:
    said = TOLD.match(told)
    if said is None:
        return StaleToken(f"{told}.", store=using, reason=told)
    table, newer, token = said[1], int(said[2]), int(said[3])
    return StaleToken(
        f"{told}.", name=f"table {table}", store=using, reason=told, token=token, newer=newer
    )
