"""Breadth first through all orders of events, with the shortest way to what breaks a promise.

Questions are never removed, so each may be late, come twice, out of order or, never taken, be lost.
A proposer may give up and begin anew at any time, with a ballot in any place among the others, as
one does that was told of them, or that was killed and knows nothing. An acceptor that is killed or
frozen is one to which nothing comes. Refusals are not heard: they only tell a proposer to give up.

An answer is heard as it is given, or never. To hear it later changes nothing: it touches the
proposer alone, which might have been slow to act on it instead; `Bounds.is_late` checks that.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from coordination.consensus.acceptor import Kept
from coordination.consensus.proposer import Attempt, Looked, Phase
from coordination.consensus.types import Agreed, Promised, Refused, Seen
from tests.unit.quorumcheck.rules import Rules
from tests.unit.quorumcheck.world import (
    ACCEPTORS,
    LOOK,
    OPENING_VALUE,
    READ,
    Acceptor,
    Bounds,
    Message,
    Offer,
    Prepare,
    Proposer,
    State,
    Told,
    World,
    put,
)

Move = tuple[Any, ...]
"""The state that follows, and the words that tell of it."""


@dataclass(slots=True)
class Exploration:
    """What was found."""

    bounds: Bounds
    states: int = 0
    moves: int = 0
    chosen: set[str] = field(default_factory=set)
    broken: str | None = None
    trace: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.bounds}: {self.states:,} states, {self.moves:,} moves"]
        if self.broken is not None:
            lines += [f"broken: {self.broken}", *self.trace]
        return "\n".join(lines)


class Search:
    """One exploration within bounds."""

    def __init__(self, rules: Rules, bounds: Bounds) -> None:
        self.rules, self.bounds = rules, bounds
        self.wished = {wish for each in bounds.wishes for wish in each} - {READ, LOOK}
        self.way: dict[State, tuple[State, str] | None] = {}
        self.world = World()
        # Most of these questions are asked thousands of times.
        self._arrived = cache(self._arrive)
        self._stepped = cache(self._step)
        self._chosen = cache(self._choose)
        self._faulty = cache(self._fault)

    def run(self) -> Exploration:
        """Visit every state; stop at the first broken promise."""
        found = Exploration(self.bounds)
        acceptor, proposer = (
            self.world.acceptors.of(Acceptor()),
            self.world.proposers.of(Proposer()),
        )
        start = State((acceptor,) * 3, (proposer,) * len(self.bounds.wishes))
        self.way[start] = None
        level = [start]
        while level and found.broken is None:
            following: list[State] = []
            for state in level:
                self._visit(state, following, found)
                if found.broken is not None:
                    break
            level = following
        found.states = len(self.way)
        return found

    def _visit(self, state: State, following: list[State], found: Exploration) -> None:
        for move in self._moves(state):
            found.moves += 1
            after = move[0] if self.bounds.is_late else self.world.canonical(move[0])
            if after in self.way:
                continue
            self.way[after] = (state, " ".join(map(str, move[1:])))
            following.append(after)
            found.chosen |= self._chosen(after.acceptors)
            if (fault := self._faulty(after.acceptors, after.proposers)) is not None:
                found.broken, found.trace = fault, self._trace(after)
                return

    def _moves(self, state: State) -> Iterator[Move]:
        for number, proposer in enumerate(state.proposers):
            yield from self._begins(state, number)
            if self.world.proposers[proposer].seen is not None:
                yield from self._looks(state, number)
        for message in self.world.messages.in_mask(state.net):
            told = self.world.messages[message]
            if isinstance(told, Told):
                yield from self._heard(state, told)
            else:
                for index in range(3):
                    yield from self._arrives(state, message, index)
        if self.rules.amnesia:
            for index, each in enumerate(state.acceptors):
                empty = self.world.acceptors[each]._replace(kept=Kept())
                after = put(state.acceptors, index, self.world.acceptors.of(empty))
                yield state._replace(acceptors=after), ACCEPTORS[index], "forgets everything"

    def _begins(self, state: State, number: int) -> Iterator[Move]:
        proposer = self.world.proposers[state.proposers[number]]
        wishes = self.bounds.wishes[number]
        if proposer.tries == len(wishes):
            return
        wish = wishes[proposer.tries]
        chosen = next(iter(self._chosen(state.acceptors)), None)
        fresh = Proposer(None, proposer.tries + 1, None, chosen)
        if wish == LOOK:
            looking = self.world.proposers.of(fresh._replace(seen=()))
            yield state._replace(proposers=put(state.proposers, number, looking)), number, "looks"
            return
        for attempt in self._attempts(state, number, None if wish == READ else wish):
            message = _sent(attempt)
            begun = self.world.proposers.of(fresh._replace(attempt=attempt))
            net = state.net | 1 << self.world.messages.of(message)
            proposers = put(state.proposers, number, begun)
            yield State(state.acceptors, proposers, net), number, "begins with", message

    def _attempts(self, state: State, number: int, wish: str | None) -> Iterator[Attempt]:
        tries = self.world.proposers[state.proposers[number]].tries
        if number in self.bounds.opens and tries == 0:
            assert wish is not None
            yield self.rules.begin_opening(OPENING_VALUE, acceptors=3, wish=wish)
            return
        sent = [self.world.messages[each] for each in self.world.messages.in_mask(state.net)]
        rounds = [each.ballot.round for each in sent if isinstance(each, Prepare | Offer)]
        for round_ in range(1, max(rounds, default=0) + 2):
            ballot = self.rules.ballot(round_, f"{number}{tries}", first=f"{number}0")
            yield self.rules.begin(ballot, acceptors=3, wish=wish)

    def _looks(self, state: State, number: int) -> Iterator[Move]:
        proposer = self.world.proposers[state.proposers[number]]
        for index, alias in enumerate(ACCEPTORS):
            if alias in dict(proposer.seen or ()):
                continue
            accepted = self.world.acceptors[state.acceptors[index]].kept.accepted
            seen = tuple(sorted([*(proposer.seen or ()), (alias, accepted)], key=lambda e: e[0]))
            looked, value = self.rules.look([Seen(each) for _, each in seen], acceptors=3)
            after = proposer._replace(seen=seen)
            if looked is Looked.CHOSEN:
                after = proposer._replace(seen=None, learned=value)
            elif looked is Looked.NOTHING:
                after = proposer._replace(seen=None, is_empty=True)
            elif looked is Looked.OPEN:
                after = proposer._replace(seen=None)
            proposers = put(state.proposers, number, self.world.proposers.of(after))
            yield state._replace(proposers=proposers), number, "sees", accepted, "at", alias

    def _arrives(self, state: State, message: int, index: int) -> Iterator[Move]:
        acceptor, reply = self._arrived(state.acceptors[index], message)
        if reply is None:
            return
        after = state._replace(acceptors=put(state.acceptors, index, acceptor))
        told = Told(ACCEPTORS[index], reply)
        what = self.world.messages[message]
        if self.bounds.is_late:
            net = after.net | 1 << self.world.messages.of(told)
            yield after._replace(net=net), what, "comes to", told.alias
            return
        is_heard = False
        for heard in self._heard(after, told):
            is_heard = True
            yield heard
        # That somebody agrees only tells what was chosen: nothing is lost by hearing it always.
        if not is_heard or isinstance(reply, Promised):
            yield after, what, "comes to", told.alias, "and nothing back"

    def _arrive(self, acceptor: int, message: int) -> tuple[int, Promised | Agreed | None]:
        before, told = self.world.acceptors[acceptor], self.world.messages[message]
        took = before.took
        reply: Promised | Agreed | Refused
        if isinstance(told, Prepare):
            kept, reply = self.rules.prepare(before.kept, told.ballot)
        else:
            assert isinstance(told, Offer)
            kept, reply = self.rules.accept(before.kept, told.ballot, told.value)
            took = took | {(told.ballot, told.value)}
        if isinstance(reply, Refused):
            return acceptor, None
        return self.world.acceptors.of(Acceptor(kept, took)), reply

    def _heard(self, state: State, told: Told) -> Iterator[Move]:
        for number, proposer in enumerate(state.proposers):
            after, sent = self._stepped(number, proposer, told)
            if after != proposer:
                proposers = put(state.proposers, number, after)
                yield State(state.acceptors, proposers, state.net | sent), number, "hears", told

    def _step(self, number: int, proposer: int, told: Told) -> tuple[int, int]:
        """The proposer after an answer, and what it sends: a bit."""
        before = self.world.proposers[proposer]
        if before.attempt is None or not self._is_meant(told, number, before.attempt):
            return proposer, 0
        attempt = self.rules.stepped(before.attempt, told.alias, told.reply)
        if attempt == before.attempt:
            return proposer, 0
        learned = attempt.value if attempt.phase is Phase.LEARNED else None
        after = before._replace(attempt=attempt, learned=learned)
        sent = 0
        if attempt.phase is Phase.OFFERING:
            sent = 1 << self.world.messages.of(_sent(attempt))
        return self.world.proposers.of(after), sent

    def _is_meant(self, told: Told, number: int, attempt: Attempt) -> bool:
        """Whether it is an answer to this proposer: to any of its attempts, when it may be late."""
        ballot = told.reply.ballot
        if ballot == attempt.ballot:
            return True
        return self.bounds.is_late and ballot.round > 0 and ballot.by.startswith(f"{number}")

    def _choose(self, acceptors: tuple[int, ...]) -> frozenset[str]:
        """What was ever chosen, by these records."""
        took = [each for number in acceptors for each in self.world.acceptors[number].took]
        return frozenset(each[1] for each in took if took.count(each) >= 2)

    def _fault(self, acceptors: tuple[int, ...], proposers: tuple[int, ...]) -> str | None:
        chosen = self._chosen(acceptors)
        known = [self.world.proposers[each] for each in proposers]
        learned = {each.learned for each in known if each.learned is not None}
        if len(chosen | learned) > 1:
            return f"agreement: chosen {sorted(chosen)}, learned {sorted(learned)}"
        if learned - chosen:
            return f"learned {learned}, which is not chosen"
        if chosen - self.wished - {OPENING_VALUE}:
            return f"validity: nobody wished {chosen - self.wished}"
        for each in known:
            if _is_empty(each) and each.after is not None:
                return f"a reader says nothing after {each.after} was chosen"
        return None

    def _trace(self, last: State) -> list[str]:
        lines: list[str] = []
        step = self.way[last]
        while step is not None:
            before, what = step
            lines.append(f"    {what}")
            step = self.way[before]
        return lines[::-1]


def _is_empty(proposer: Proposer) -> bool:
    return proposer.is_empty or (
        proposer.attempt is not None and proposer.attempt.phase is Phase.EMPTY
    )


def _sent(attempt: Attempt) -> Message:
    if attempt.phase is Phase.PREPARING:
        return Prepare(attempt.ballot)
    assert attempt.value is not None
    return Offer(attempt.ballot, attempt.value)


def explore(rules: Rules, bounds: Bounds) -> Exploration:
    """Visit every state within the bounds."""
    return Search(rules, bounds).run()


__all__ = ["Bounds", "Exploration", "explore"]
