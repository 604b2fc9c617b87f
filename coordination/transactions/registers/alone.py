"""What a prepared branch can learn and do by the quorum alone, without the coordinator's rows."""

from coordination.consensus.stores import registers_of
from coordination.consensus.types import Register
from coordination.kernel.gids import Electorate
from coordination.transactions.registers import votes
from coordination.transactions.types import QUORUM, Outcome


def outcome(gid: str, electorate: Electorate) -> Outcome | None:
    """How the transaction was decided; None: not yet.

    Raises StoreUnavailable, OutcomeUnknown, RegisterForgotten.
    """
    if electorate.branches:
        return votes.outcome(gid, electorate)
    held = registers_of(QUORUM).read(_register(gid, electorate))
    return None if held is None else Outcome(held)


def settled(gid: str, electorate: Electorate, *, precommitted: bool) -> Outcome:
    """Bring it to an end: abort, or commit where it is noted that every vote is yes. Raises so.

    The register has the last word.
    """
    if electorate.branches:
        return votes.aborted(gid, electorate)
    wish = Outcome.COMMITTED if precommitted else Outcome.ABORTED
    return Outcome(registers_of(QUORUM).decide(_register(gid, electorate), wish))


def _register(gid: str, electorate: Electorate) -> Register:
    return Register(name=gid, period=electorate.period)
