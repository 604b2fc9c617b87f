"""The project's own rules as the explorer calls them; a mutant overrides one of them."""

from collections.abc import Sequence
from dataclasses import replace

from coordination.consensus import acceptor, proposer
from coordination.consensus.acceptor import Kept
from coordination.consensus.proposer import Attempt, Looked, Phase
from coordination.consensus.types import Accepted, Agreed, Ballot, Promised, Refused, Seen

Reply = Promised | Agreed | Refused


class Rules:
    """As they run."""

    amnesia = False
    """Whether an acceptor may forget everything and go on."""

    def prepare(self, kept: Kept, ballot: Ballot) -> tuple[Kept, Promised | Refused]:
        """The first phase at an acceptor."""
        return acceptor.prepare(kept, ballot)

    def accept(self, kept: Kept, ballot: Ballot, value: str) -> tuple[Kept, Agreed | Refused]:
        """The second phase at an acceptor."""
        return acceptor.accept(kept, ballot, value)

    def begin(self, ballot: Ballot, *, acceptors: int, wish: str | None) -> Attempt:
        """An attempt with two phases."""
        return proposer.begin(ballot, acceptors=acceptors, wish=wish)

    def begin_opening(self, opening: str, *, acceptors: int, wish: str) -> Attempt:
        """An attempt with ballot 0, whatever the proposer wishes."""
        return proposer.begin_opening(opening, acceptors=acceptors)

    def ballot(self, round_: int, letter: str, *, first: str) -> Ballot:
        """A new ballot: the letters are drawn anew for each attempt."""
        return Ballot(round_, letter)

    def look(self, seen: Sequence[Seen], *, acceptors: int) -> tuple[Looked, str | None]:
        """A look's verdict."""
        return proposer.look(seen, acceptors=acceptors)

    def stepped(self, attempt: Attempt, alias: str, reply: Reply) -> Attempt:
        """The proposer's part."""
        return proposer.step(attempt, alias, reply)


class Mutant(Rules):
    """A known mistake, and the promise that it breaks."""


class BallotReused(Mutant):
    """A proposer that was restarted goes on with the ballot of its former self."""

    def ballot(self, round_: int, letter: str, *, first: str) -> Ballot:
        return Ballot(1, first)


class AcceptedForgottenInThePromise(Mutant):
    """A promise does not tell what was accepted."""

    def prepare(self, kept: Kept, ballot: Ballot) -> tuple[Kept, Promised | Refused]:
        after, reply = acceptor.prepare(kept, ballot)
        return after, replace(reply, accepted=None) if isinstance(reply, Promised) else reply


class AcceptedDroppedByThePromise(Mutant):
    """To promise, an acceptor writes over what it has accepted."""

    def prepare(self, kept: Kept, ballot: Ballot) -> tuple[Kept, Promised | Refused]:
        after, reply = acceptor.prepare(kept, ballot)
        return (Kept(ballot), reply) if isinstance(reply, Promised) else (after, reply)


class MinorityDecides(Mutant):
    """One acceptor of three is taken for a majority."""

    def begin(self, ballot: Ballot, *, acceptors: int, wish: str | None) -> Attempt:
        return proposer.begin(ballot, acceptors=1, wish=wish)


class Amnesia(Mutant):
    """An acceptor that lost its memory counts as before."""

    amnesia = True


class AcceptedBelowThePromise(Mutant):
    """An acceptor accepts whatever comes."""

    def accept(self, kept: Kept, ballot: Ballot, value: str) -> tuple[Kept, Agreed | Refused]:
        promised = kept.promised if kept.promised and kept.promised > ballot else ballot
        return Kept(promised, Accepted(ballot, value)), Agreed(ballot)


class AcceptingPromisesNothing(Mutant):
    """What is accepted without a promise before it can be written over by a lower ballot."""

    def accept(self, kept: Kept, ballot: Ballot, value: str) -> tuple[Kept, Agreed | Refused]:
        after, reply = acceptor.accept(kept, ballot, value)
        return (Kept(kept.promised, after.accepted), reply) if after != kept else (after, reply)


class PromiseTakenBack(Mutant):
    """An acceptor promises a lower ballot after a higher one."""

    def prepare(self, kept: Kept, ballot: Ballot) -> tuple[Kept, Promised | Refused]:
        return Kept(ballot, kept.accepted), Promised(ballot, kept.accepted)


class OwnWishFirst(Mutant):
    """A proposer offers its own value whatever it has found."""

    def stepped(self, attempt: Attempt, alias: str, reply: Reply) -> Attempt:
        after = proposer.step(attempt, alias, reply)
        changed = after.phase is Phase.OFFERING and after.phase is not attempt.phase
        return replace(after, value=attempt.wish) if changed and attempt.wish else after


class LowestBallotGoesOn(Mutant):
    """A proposer offers the value of the lowest ballot that it has found."""

    def stepped(self, attempt: Attempt, alias: str, reply: Reply) -> Attempt:
        after = proposer.step(attempt, alias, reply)
        found = [each for _, each in after.promises if each is not None]
        if after.phase is Phase.OFFERING and after.phase is not attempt.phase and found:
            return replace(after, value=min(found, key=lambda each: each.ballot).value)
        return after


class AnswersToAnyBallotCount(Mutant):
    """A proposer counts answers to its former ballots."""

    def stepped(self, attempt: Attempt, alias: str, reply: Reply) -> Attempt:
        return proposer.step(attempt, alias, replace(reply, ballot=attempt.ballot))


class ACopyCountsTwice(Mutant):
    """A proposer counts answers, not acceptors."""

    def stepped(self, attempt: Attempt, alias: str, reply: Reply) -> Attempt:
        while alias in attempt.agreed or any(alias == known for known, _ in attempt.promises):
            alias += "'"
        return proposer.step(attempt, alias, reply)


class OpeningIsAnyValue(Mutant):
    """Ballot 0 is used with what the proposer happens to wish."""

    def begin_opening(self, opening: str, *, acceptors: int, wish: str) -> Attempt:
        return proposer.begin_opening(wish, acceptors=acceptors)


class EmptyAfterOne(Mutant):
    """A reader that one acceptor told of nothing says that there is nothing."""

    def stepped(self, attempt: Attempt, alias: str, reply: Reply) -> Attempt:
        if isinstance(reply, Promised) and reply.accepted is None and attempt.wish is None:
            return replace(attempt, phase=Phase.EMPTY)
        return proposer.step(attempt, alias, reply)


class ReadWithoutFinishing(Mutant):
    """A reader takes what it finds for chosen."""

    def stepped(self, attempt: Attempt, alias: str, reply: Reply) -> Attempt:
        after = proposer.step(attempt, alias, reply)
        if attempt.wish is None and after.phase is Phase.OFFERING:
            return replace(after, phase=Phase.LEARNED)
        return after


class OneIsSeenForAll(Mutant):
    """A look takes what one acceptor has accepted for chosen."""

    def look(self, seen: Sequence[Seen], *, acceptors: int) -> tuple[Looked, str | None]:
        found = [each.accepted for each in seen if each.accepted is not None]
        return (Looked.CHOSEN, found[0].value) if found else proposer.look(seen, acceptors=3)


class NothingSeenOnceIsNothing(Mutant):
    """A look that one acceptor showed nothing says that there is nothing."""

    def look(self, seen: Sequence[Seen], *, acceptors: int) -> tuple[Looked, str | None]:
        looked = proposer.look(seen, acceptors=acceptors)
        unseen = any(each.accepted is None for each in seen)
        return (Looked.NOTHING, None) if looked[0] is Looked.WAITING and unseen else looked


class AnyBallotsMakeAMajority(Mutant):
    """A look counts acceptors that accepted the same value, with whichever ballots."""

    def look(self, seen: Sequence[Seen], *, acceptors: int) -> tuple[Looked, str | None]:
        values = [each.accepted.value for each in seen if each.accepted is not None]
        same = [value for value in values if values.count(value) >= 2]
        return (Looked.CHOSEN, same[0]) if same else proposer.look(seen, acceptors=acceptors)


class OpeningBySkippingTheFirstPhase(Mutant):
    """A proposer leaves the first phase out with a ballot of its own, as if it were ballot 0."""

    def begin(self, ballot: Ballot, *, acceptors: int, wish: str | None) -> Attempt:
        attempt = proposer.begin(ballot, acceptors=acceptors, wish=wish)
        return replace(attempt, phase=Phase.OFFERING, value=wish) if wish else attempt


MUTANTS: tuple[type[Mutant], ...] = tuple(Mutant.__subclasses__())
