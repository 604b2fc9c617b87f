"""What there is in an exploration: acceptors, proposers, and what is on its way."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Generic, NamedTuple, TypeVar

from coordination.consensus.acceptor import Kept
from coordination.consensus.proposer import Attempt
from coordination.consensus.types import Accepted, Agreed, Ballot, Promised

ACCEPTORS = ("A", "B", "C")
OPENING_VALUE = "yes"
READ, LOOK = "read", "look"
"""Wishes that are none: to read by an attempt, and to look without a promise."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How many proposers with how many attempts each, and what they wish in each of them."""

    wishes: tuple[tuple[str, ...], ...]
    """Of each proposer, by attempt."""
    opens: tuple[int, ...] = ()
    """Which proposers use ballot 0 in their first attempt."""
    is_late: bool = False
    """Whether answers may be heard late and twice as well, instead of at once or never."""

    def __str__(self) -> str:
        wishes = " | ".join(
            ", ".join(each) + (" by ballot 0" if number in self.opens else "")
            for number, each in enumerate(self.wishes)
        )
        late = ", answers late and twice" if self.is_late else ""
        return f"3 acceptors, {len(self.wishes)} proposers: {wishes}{late}"


class Prepare(NamedTuple):
    """The first phase's question."""

    ballot: Ballot


class Offer(NamedTuple):
    """The second phase's."""

    ballot: Ballot
    value: str


class Told(NamedTuple):
    """An answer on its way."""

    alias: str
    reply: Promised | Agreed


Message = Prepare | Offer | Told


class Proposer(NamedTuple):
    """One proposer."""

    attempt: Attempt | None = None
    tries: int = 0
    learned: str | None = None
    after: str | None = None
    """What was chosen when its attempt began."""
    seen: tuple[tuple[str, Accepted | None], ...] | None = None
    """What a look has shown, by acceptor; None when it does not look."""
    is_empty: bool = False
    """Whether a look has told that there is nothing."""


class Acceptor(NamedTuple):
    """One acceptor, and for the record what it has ever accepted."""

    kept: Kept = Kept()
    took: frozenset[tuple[Ballot, str]] = frozenset()


class State(NamedTuple):
    """Everything there is, each part by its number, which makes states quick to compare."""

    acceptors: tuple[int, ...]
    proposers: tuple[int, ...]
    net: int = 0
    """The messages on their way: a bit each."""


class Numbers(Generic[T]):
    """Things by number, equal ones by one."""

    def __init__(self) -> None:
        self._of: dict[T, int] = {}
        self._things: list[T] = []

    def of(self, thing: T) -> int:
        """Its number."""
        number = self._of.setdefault(thing, len(self._things))
        if number == len(self._things):
            self._things.append(thing)
        return number

    def __getitem__(self, number: int) -> T:
        return self._things[number]

    def in_mask(self, mask: int) -> Iterator[int]:
        """The numbers whose bits are set."""
        while mask:
            lowest = mask & -mask
            yield lowest.bit_length() - 1
            mask ^= lowest


class World:
    """What the numbers of a state stand for."""

    def __init__(self) -> None:
        self.acceptors: Numbers[Acceptor] = Numbers()
        self.proposers: Numbers[Proposer] = Numbers()
        self.messages: Numbers[Message] = Numbers()
        self.known: Numbers[object] = Numbers()
        self.rename = cache(self._renamed)
        self.known_of = cache(self._known_of)

    def canonical(self, state: State) -> State:
        """One state for all that differ only in which acceptor is which."""
        columns = [self.known_of(each) for each in state.proposers]
        marks = sorted(
            (acceptor, *(column[index] for column in columns), index)
            for index, acceptor in enumerate(state.acceptors)
        )
        order = tuple(mark[-1] for mark in marks)
        if order == (0, 1, 2):
            return state
        return State(
            tuple(state.acceptors[old] for old in order),
            tuple(self.rename(each, order) for each in state.proposers),
            state.net,
        )

    def _known_of(self, number: int) -> tuple[int, ...]:
        """What a proposer has of each acceptor."""
        proposer = self.proposers[number]
        promises = dict(proposer.attempt.promises) if proposer.attempt else {}
        agreed = proposer.attempt.agreed if proposer.attempt else frozenset()
        seen = dict(proposer.seen or ())
        return tuple(
            self.known.of((alias in agreed, promises.get(alias, 0), seen.get(alias, 0)))
            for alias in ACCEPTORS
        )

    def _renamed(self, number: int, order: tuple[int, ...]) -> int:
        names = {ACCEPTORS[old]: ACCEPTORS[new] for new, old in enumerate(order)}
        return self.proposers.of(_renamed(self.proposers[number], names))


def _renamed(proposer: Proposer, names: dict[str, str]) -> Proposer:
    attempt, seen = proposer.attempt, proposer.seen
    if attempt is not None and (attempt.promises or attempt.agreed):
        # A mutant that counts copies gives them names of its own: these stay.
        promises = sorted(
            ((names.get(alias, alias), found) for alias, found in attempt.promises),
            key=lambda each: each[0],
        )
        agreed = frozenset(names.get(alias, alias) for alias in attempt.agreed)
        attempt = replace(attempt, promises=tuple(promises), agreed=agreed)
    if seen:
        seen = tuple(sorted(((names[alias], found) for alias, found in seen), key=lambda e: e[0]))
    return proposer._replace(attempt=attempt, seen=seen)


def put(items: tuple[int, ...], index: int, item: int) -> tuple[int, ...]:
    """The items with another one at this place."""
    return (*items[:index], item, *items[index + 1 :])
