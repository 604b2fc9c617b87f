"""Values of fencing."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A value and the newest token that wrote it."""

    value: Any
    """None when nothing was written, or it was deleted."""
    token: int
    """0 when no token has written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """It was written, or refused because `standing` is newer."""

    standing: int
    """The token that stands now."""
    refused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One write. Its id makes a repetition get the first answer."""

    id: str
    kept_ms: int
    """How long the store remembers what became of it."""
