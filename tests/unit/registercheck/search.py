"""Breadth-first search over a model's states, with the way to the first one that breaks a rule."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

State = TypeVar("State")
StateIn = TypeVar("StateIn")


class Model(Protocol[StateIn]):
    """What can happen, and what must hold."""

    def initial(self) -> StateIn: ...
    def moves(self, state: StateIn) -> Iterator[tuple[str, StateIn]]: ...
    def broken(self, state: StateIn) -> str | None: ...
    def fair(self, state: StateIn) -> Iterable[Callable[[StateIn], StateIn]]: ...
    def over(self, state: StateIn) -> bool: ...
    def canonical(self, state: StateIn) -> StateIn: ...


@dataclass(frozen=True, slots=True)
class Found(Generic[State]):
    """What a search came to."""

    states: int
    moves: int
    broken: str | None = None
    way: tuple[str, ...] = ()

    def __str__(self) -> str:
        told = f"{self.states:,} states, {self.moves:,} moves"
        return told if self.broken is None else f"{told}: {self.broken} by {' · '.join(self.way)}"


def search(model: "Model[State]") -> "Found[State]":
    """Look at every state, up to the first that breaks a rule or from which no end is reached."""
    start = model.initial()
    came: dict[State, tuple[State, str] | None] = {start: None}
    waiting, moves = deque([start]), 0
    while waiting:
        state = waiting.popleft()
        end = _driven(model, state)
        broken = model.broken(state) or model.broken(end)
        if broken is None and not model.over(end):
            broken = "no end is reached once faults stop"
        if broken is not None:
            return Found(len(came), moves, broken, _way(came, state))
        for name, reached in model.moves(state):
            moves += 1
            after = model.canonical(reached)
            if after not in came:
                came[after] = (state, name)
                waiting.append(after)
    return Found(len(came), moves)


def _driven(model: "Model[State]", state: State) -> State:
    """The state after everybody has done what is due, no message lost and nobody killed."""
    while True:
        before = state
        for move in model.fair(state):
            state = move(state)
        if state == before:
            return state


def _way(came: dict[State, tuple[State, str] | None], state: State) -> tuple[str, ...]:
    way: list[str] = []
    while (step := came[state]) is not None:
        state = step[0]
        way.append(step[1])
    return tuple(reversed(way))
