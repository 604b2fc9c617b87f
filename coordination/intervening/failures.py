"""What a person is told of an intervention that failed."""

from __future__ import annotations

from typing import Final

from coordination.exceptions import CoordinationError

NOTHING_DONE: Final = "Nothing was done."
UNKNOWN: Final = (
    "It may have happened or not: ask the store again before you do anything that rests on it."
)


def told(error: CoordinationError) -> str:
    """The error, and what is known of the deed after it: nothing done, or nobody knows."""
    said = str(error)
    rest = UNKNOWN if error.applied is None else NOTHING_DONE
    return said if rest in said else f"{said} {rest}"
