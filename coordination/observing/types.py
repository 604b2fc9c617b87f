"""Values of the observation side. Pure."""

from __future__ import annotations

from enum import StrEnum


class VerdictState(StrEnum):
    """What can be said about a promise. No evidence, no green."""

    HOLDS = "HOLDS"
    """Checked lately, everything that could be checked, and nothing is broken."""
    VIOLATED = "VIOLATED"
    """Something is broken, until an operator acknowledges it."""
    UNPROVEN = "UNPROVEN"
    """Nothing to go by: the checker is late, or could not see what it must see."""
    CHECKING = "CHECKING"
    """The checker is behind and catching up."""
