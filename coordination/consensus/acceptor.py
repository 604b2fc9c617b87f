"""Pure rule of one acceptor of one register: what it keeps and answers.

The real ones are `acceptors/*`: a Lua script, an SQL function, and on ZooKeeper this very code.
Contract tests hold each of them to these two functions, which the model checker explores.
"""

from dataclasses import dataclass

from coordination.consensus.types import Accepted, Agreed, Ballot, Promised, Refused


@dataclass(frozen=True, slots=True)
class Kept:
    """What an acceptor must never forget."""

    promised: Ballot | None = None
    accepted: Accepted | None = None


def prepare(kept: Kept, ballot: Ballot) -> tuple[Kept, Promised | Refused]:
    """Promise to accept nothing lower. The same ballot again gets the same promise."""
    if kept.promised is not None and ballot < kept.promised:
        return kept, Refused(ballot, kept.promised)
    return Kept(ballot, kept.accepted), Promised(ballot, kept.accepted)


def accept(kept: Kept, ballot: Ballot, value: str) -> tuple[Kept, Agreed | Refused]:
    """Accept the value, unless a higher ballot was promised. Accepting is a promise as well."""
    if kept.promised is not None and ballot < kept.promised:
        return kept, Refused(ballot, kept.promised)
    return Kept(ballot, Accepted(ballot, value)), Agreed(ballot)
