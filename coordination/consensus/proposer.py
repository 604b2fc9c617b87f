"""Pure proposer of one register: one attempt with one ballot, from answers to what is learned.

A value is *chosen* once a majority of the acceptors has accepted it with the same ballot. Lamport,
"Paxos Made Simple", 2001; the first phase left out with ballot 0: Gray and Lamport, "Consensus on
Transaction Commit", 2006.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from coordination.consensus.types import (
    OPENING,
    Accepted,
    Agreed,
    Ballot,
    Promised,
    Refused,
    Seen,
)


class Phase(StrEnum):
    """Where an attempt stands."""

    PREPARING = "preparing"
    OFFERING = "offering"
    LEARNED = "learned"
    """`value` is chosen."""
    EMPTY = "empty"
    """Nothing was chosen when this attempt began, and it has nothing to offer."""
    BEATEN = "beaten"
    """Too many acceptors have promised a higher ballot: go on above `highest`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One ballot of one proposer."""

    ballot: Ballot
    acceptors: int
    """How many there are, whether or not they answer."""
    wish: str | None
    """What the proposer wants chosen; None: it only wants to know, and finishes what it finds."""
    phase: Phase
    value: str | None = None
    """What it offers or has learned."""
    promises: tuple[tuple[str, Accepted | None], ...] = ()
    agreed: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    highest: Ballot = OPENING
    """The highest ballot that it was told of."""

    @property
    def majority(self) -> int:
        """How many acceptors decide."""
        return self.acceptors // 2 + 1


def begin(ballot: Ballot, *, acceptors: int, wish: str | None) -> Attempt:
    """An attempt that begins with the first phase."""
    assert ballot > OPENING, "ballot 0 has no first phase"
    return Attempt(
        ballot=ballot, acceptors=acceptors, wish=wish, phase=Phase.PREPARING, highest=ballot
    )


def begin_opening(opening: str, *, acceptors: int) -> Attempt:
    """The attempt with ballot 0, at once in its second phase.

    There is no lower ballot, so nothing can have been chosen before it; and its value is fixed by
    the register, so whoever makes this attempt, however often, offers the same.
    """
    return Attempt(
        ballot=OPENING, acceptors=acceptors, wish=opening, phase=Phase.OFFERING, value=opening
    )


def step(attempt: Attempt, acceptor: str, reply: Promised | Agreed | Refused) -> Attempt:
    """The attempt after one answer; answers to other ballots and other phases change nothing."""
    if reply.ballot != attempt.ballot:
        return attempt
    match reply:
        case Promised() if attempt.phase is Phase.PREPARING:
            return _promised(attempt, acceptor, reply.accepted)
        case Agreed() if attempt.phase is Phase.OFFERING:
            agreed = attempt.agreed | {acceptor}
            learned = len(agreed) >= attempt.majority
            phase = Phase.LEARNED if learned else attempt.phase
            return replace(attempt, agreed=agreed, phase=phase)
        case Refused() if attempt.phase in (Phase.PREPARING, Phase.OFFERING):
            return _refused(attempt, acceptor, reply.promised)
    return attempt


def _promised(attempt: Attempt, acceptor: str, accepted: Accepted | None) -> Attempt:
    if any(known == acceptor for known, _ in attempt.promises):
        return attempt
    promises = tuple(sorted([*attempt.promises, (acceptor, accepted)], key=lambda each: each[0]))
    attempt = replace(attempt, promises=promises)
    found = [each for _, each in promises]
    if (value := chosen(found, majority=attempt.majority)) is not None:
        return replace(attempt, phase=Phase.LEARNED, value=value)
    if len(promises) < attempt.majority:
        return attempt
    value = safe_value(found, wish=attempt.wish)
    if value is None:
        return replace(attempt, phase=Phase.EMPTY)
    return replace(attempt, phase=Phase.OFFERING, value=value)


def _refused(attempt: Attempt, acceptor: str, promised: Ballot) -> Attempt:
    # Whoever refused the ballot in the first phase will in the second: promises never fall.
    refused = attempt.refused | {acceptor}
    beaten = len(refused) > attempt.acceptors - attempt.majority
    return replace(
        attempt,
        refused=refused,
        highest=max(attempt.highest, promised),
        phase=Phase.BEATEN if beaten else attempt.phase,
    )


def safe_value(found: Iterable[Accepted | None], *, wish: str | None) -> str | None:
    """What may be offered after a majority promised: the value of the highest ballot, or one's own.

    If a value was chosen with a lower ballot, it is that one.
    """
    accepted = [each for each in found if each is not None]
    if not accepted:
        return wish
    return max(accepted, key=lambda each: each.ballot).value


def chosen(found: Iterable[Accepted | None], *, majority: int) -> str | None:
    """The value that so many acceptors have accepted with one and the same ballot."""
    counts = Counter(each for each in found if each is not None)
    return next((each.value for each, count in counts.items() if count >= majority), None)


class Looked(StrEnum):
    """What a look at the acceptors, without a promise, has told."""

    CHOSEN = "chosen"
    NOTHING = "nothing"
    """A majority had accepted nothing, so nothing was chosen when the look began."""
    OPEN = "open"
    """Something was accepted somewhere: whether it is chosen, only an attempt tells."""
    WAITING = "waiting"


def look(seen: Iterable[Seen], *, acceptors: int) -> tuple[Looked, str | None]:
    """What the answers so far tell, and the value that is chosen."""
    found = [each.accepted for each in seen]
    majority = acceptors // 2 + 1
    if (value := chosen(found, majority=majority)) is not None:
        return Looked.CHOSEN, value
    if len(found) < majority:
        return Looked.WAITING, None
    if found.count(None) >= majority:
        return Looked.NOTHING, None
    # Those that have not answered could still show that it is chosen; an attempt is as quick.
    return Looked.OPEN, None
