"""What a store says of a hold: room that it keeps for one branch of a transaction. Pure.

Made at prepare, used up by the commit, or let go by the abort. A branch is held, and ends, once.
"""

from enum import StrEnum
from typing import NamedTuple


class HoldState(StrEnum):
    """How the hold of a branch stands after a call."""

    HELD = "held"
    """The room is kept, by this call or by an earlier one."""
    APPLIED = "applied"
    """It was used up: what was to be done with it is done, once."""
    CANCELLED = "cancelled"
    """It was let go, or never made and now never will be."""
    LATE = "late"
    """It came after the transaction's deadline; nothing was held."""
    GONE = "gone"
    """The store knows nothing of it. It has lost what it once confirmed."""


class Kept(NamedTuple):
    """A hold that a store keeps."""

    name: str
    """Of the counter or queue."""
    branch: str
    """The id of the branch that it is kept for."""
    amount: int
    """What may be added, or how many messages published."""
