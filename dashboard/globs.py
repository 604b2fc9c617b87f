"""Names with `*` and `?`, as Python and PostgreSQL match them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache


def glob_pattern(glob: str) -> str:
    """The regular expression (Python's and PostgreSQL's) of a name with `*` and `?`."""
    return "^" + re.escape(glob).replace(r"\*", ".*").replace(r"\?", ".") + "$"


def fits(name: str, globs: Iterable[str]) -> bool:
    """Whether one of the globs is the whole name."""
    return any(_compiled(glob).match(name) for glob in globs)


@lru_cache(maxsize=512)
def _compiled(glob: str) -> re.Pattern[str]:
    return re.compile(glob_pattern(glob))
