"""Whether a recorded history of concurrent calls could have happened one call at a time.

The search of Wing and Gong ("Testing and Verifying Concurrent Objects", 1993) with Lowe's memory of
configurations ("Testing for linearizability", 2017): take any call that began before every call not
yet taken had ended, apply it to the model, go on, and go back where the model refuses. A call whose
end nobody saw may have happened at any time after it began, or not at all.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Generic, Protocol, TypeVar

S = TypeVar("S", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call as its caller saw it; times are of one monotonic clock."""

    process: str
    what: str
    token: int | None = None
    """What it was called with, or what it answered: the model says which."""
    answer: str = "ok"
    began: float
    ended: float = inf
    """`inf` when nobody saw its end: then it may not have happened."""

    def __str__(self) -> str:
        """As a violation names it."""
        token = "" if self.token is None else f" {self.token}"
        ended = "?" if self.ended == inf else f"{self.ended:.6f}"
        return f"{self.process} {self.what}{token} → {self.answer} [{self.began:.6f}, {ended}]"


class Model(Protocol[S]):
    """What the object does when it is called by one at a time."""

    def initial(self) -> S:
        """The state before any call."""

    def apply(self, state: S, call: Call) -> S | None:
        """The state after `call`, or None when it could not have answered so."""


@dataclass(frozen=True, slots=True)
class Linearizable:
    """An order in which everything could have happened."""

    order: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class NotLinearizable:
    """No order explains the history."""

    explained: tuple[Call, ...]
    """The longest beginning of an order that was found."""
    stuck: tuple[Call, ...]
    """The calls of which one had to come next, and none could."""

    def __str__(self) -> str:
        """The violation in words."""
        calls = "; ".join(map(str, self.stuck))
        return f"after {len(self.explained)} calls none of these could come next: {calls}"


@dataclass(frozen=True, slots=True)
class Undecided:
    """There were too many orders to try."""

    tried: int


Verdict = Linearizable | NotLinearizable | Undecided
TRIES_MAX = 2_000_000


def check(history: Sequence[Call], model: Model[S], *, tries_max: int = TRIES_MAX) -> Verdict:
    """Search for an order of the calls that the model allows."""
    return _Search(history, model, tries_max).run()


class _Search(Generic[S]):
    """Depth first, without recursion: histories are longer than Python's stack."""

    def __init__(self, history: Sequence[Call], model: Model[S], tries_max: int) -> None:
        self._calls = sorted(history, key=lambda call: (call.began, call.ended))
        self._model = model
        self._tries_max = tries_max
        self._needed = sum(call.ended != inf for call in self._calls)
        self._best: list[int] = []
        self._stuck: list[int] = []

    def run(self) -> Verdict:
        state = self._model.initial()
        done = 0  # a bit for each call that was taken
        path: list[int] = []
        stack = [(state, done, self._next(done))]
        seen = {(done, state)}
        tries = 0
        while stack:
            state, done, choices = stack[-1]
            if self._complete(done):
                return Linearizable(tuple(self._calls[index] for index in path))
            if not choices:
                self._remember(path, done)
                stack.pop()
                if path:
                    path.pop()
                continue
            index = choices.pop()
            tries += 1
            if tries > self._tries_max:
                return Undecided(tries)
            after = self._model.apply(state, self._calls[index])
            taken = done | 1 << index
            if after is None or (taken, after) in seen:
                continue
            seen.add((taken, after))
            path.append(index)
            stack.append((after, taken, self._next(taken)))
        return NotLinearizable(
            tuple(self._calls[index] for index in self._best),
            tuple(self._calls[index] for index in self._stuck),
        )

    def _next(self, done: int) -> list[int]:
        """Calls that may come next: begun before any that is left had ended. Best guess last."""
        left = [index for index in range(len(self._calls)) if not done >> index & 1]
        first_end = min((self._calls[index].ended for index in left), default=inf)
        free = [index for index in left if self._calls[index].began <= first_end]
        return sorted(free, key=lambda index: -self._calls[index].ended)

    def _complete(self, done: int) -> bool:
        return all(done >> index & 1 or call.ended == inf for index, call in enumerate(self._calls))

    def _remember(self, path: list[int], done: int) -> None:
        if len(path) >= len(self._best):
            self._best = list(path)
            self._stuck = [i for i in self._next(done) if self._calls[i].ended != inf]
