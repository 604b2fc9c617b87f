"""Paxos commit: participants, a register a vote, the row that copies them, and who is left alone.

The registers are atomic here; that those of a quorum are is explored with the quorum itself.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from coordination.transactions import machine
from coordination.transactions.machine import BranchRow, Local, Row
from coordination.transactions.protocols import paxos
from coordination.transactions.types import Ballot, Outcome, Vote


@dataclass(frozen=True, slots=True)
class World:
    locals: tuple[Local, ...]
    registers: tuple[str | None, ...]
    ballots: frozenset[tuple[int, Vote]]
    """Votes that somebody holds in hand, perhaps for long."""
    row: Row
    ended: frozenset[int] = frozenset()
    heuristic: bool = False
    told: frozenset[Outcome] = frozenset()
    """What anybody has acted on."""


def once(held: str | None, wish: str) -> str:
    """What a write-once register holds after it was asked to hold `wish`."""
    return held or wish


@dataclass(frozen=True)
class Rules:
    """What the moves are made of; a mutant replaces one."""

    prepare: Callable[[Local, Vote], tuple[Local, Vote]] = machine.prepare
    finish: Callable[[Local, Outcome], tuple[Local, object]] = machine.finish
    written: Callable[[str | None, str], str] = once
    counted: Callable[[Ballot, str], Ballot] = paxos.counted
    outcome: Callable[[Iterable[str | None]], Outcome | None] = paxos.outcome
    closes: bool = True
    """Whether who gives up asks the registers of the votes that are missing."""


@dataclass(frozen=True)
class PaxosCommit:
    branches: int
    rules: Rules = field(default_factory=Rules)

    def initial(self) -> World:
        each = range(self.branches)
        row = Row(branches=tuple(BranchRow() for _ in each))
        return World(tuple(Local.IDLE for _ in each), tuple(None for _ in each), frozenset(), row)

    def broken(self, state: World) -> str | None:
        if state.heuristic:
            return "a branch ended against the outcome"
        if len(state.told) > 1:
            return "two outcomes were told"
        if any(state.locals[at] is Local.PREPARED for at in state.ended):
            return "a branch that had ended was prepared again"
        if {Local.COMMITTED, Local.TOMBSTONE} <= set(state.locals):
            return "one branch committed and another aborted"
        return None

    def moves(self, state: World) -> Iterator[tuple[str, World]]:
        for at in range(self.branches):
            for body in (Vote.YES, Vote.NO):
                yield f"{at} is asked, body {body}", self._prepare(state, at, body)
            yield f"somebody gives up on {at}", self._close(state, at)
            yield f"the vote of {at} is copied", self._copy(state, at)
            yield f"{at} is finished by the row", self._finish(state, at, state.row.outcome)
            yield f"{at} finishes alone", self._finish(state, at, self._outcome(state))
        for at, vote in state.ballots:
            yield f"{at} votes {vote}", self._vote(state, at, vote)
            yield (
                f"the vote {vote} of {at} is lost",
                replace(state, ballots=state.ballots - {(at, vote)}),
            )
        fresh = Row(branches=tuple(BranchRow() for _ in state.locals))
        yield "a power cut takes the row's copies", replace(state, row=fresh)

    def fair(self, state: World) -> Iterable[Callable[[World], World]]:
        for at in range(self.branches):
            yield partial(self._close, at=at)
            yield partial(self._copy, at=at)
        for at in range(self.branches):
            yield lambda now, at=at: self._finish(now, at, now.row.outcome)  # type: ignore[misc]

    def canonical(self, state: World) -> World:
        """The same state with its branches in one order: they differ in nothing else."""

        def key(at: int) -> tuple[object, ...]:
            votes = sorted(vote for seq, vote in state.ballots if seq == at)
            row = state.row.branches[at].vote or ""
            register = state.registers[at] or ""
            return (state.locals[at], register, votes, row, at in state.ended)

        order = sorted(range(self.branches), key=key)
        place = {at: new for new, at in enumerate(order)}
        row = replace(state.row, branches=tuple(state.row.branches[at] for at in order))
        return replace(
            state,
            locals=tuple(state.locals[at] for at in order),
            registers=tuple(state.registers[at] for at in order),
            ballots=frozenset((place[at], vote) for at, vote in state.ballots),
            row=row,
            ended=frozenset(place[at] for at in state.ended),
        )

    def over(self, state: World) -> bool:
        ended = {Outcome.COMMITTED: Local.COMMITTED, Outcome.ABORTED: Local.TOMBSTONE}
        outcome = state.row.outcome
        return outcome is not None and set(state.locals) == {ended[outcome]}

    def _prepare(self, state: World, at: int, body: Vote) -> World:
        local, vote = self.rules.prepare(state.locals[at], body)
        return replace(
            state, locals=_put(state.locals, at, local), ballots=state.ballots | {(at, vote)}
        )

    def _vote(self, state: World, at: int, vote: Vote) -> World:
        held = self.rules.written(state.registers[at], vote.value)
        state = replace(state, registers=_put(state.registers, at, held))
        return self._record(state, self.rules.counted(Ballot(seq=at + 1, vote=vote), held))

    def _close(self, state: World, at: int) -> World:
        if not self.rules.closes:
            row = machine.decide(state.row, Outcome.ABORTED)
            return self._told(replace(state, row=row), row.outcome)
        held = self.rules.written(state.registers[at], paxos.NO)
        return replace(state, registers=_put(state.registers, at, held))

    def _copy(self, state: World, at: int) -> World:
        held = state.registers[at]
        return state if held is None else self._record(state, paxos.found(at + 1, held, ""))

    def _record(self, state: World, ballot: Ballot) -> World:
        row = machine.record_votes(state.row, (ballot,))
        return self._told(replace(state, row=row), row.outcome)

    def _outcome(self, state: World) -> Outcome | None:
        return self.rules.outcome(state.registers)

    def _finish(self, state: World, at: int, outcome: Outcome | None) -> World:
        if outcome is None:
            return state
        local, actual = self.rules.finish(state.locals[at], outcome)
        locals_ = _put(state.locals, at, local)
        state = replace(state, locals=locals_, ended=state.ended | {at})
        if str(actual).startswith("heuristic"):
            state = replace(state, heuristic=True)
        return self._told(state, outcome)

    def _told(self, state: World, outcome: Outcome | None) -> World:
        return state if outcome is None else replace(state, told=state.told | {outcome})


def _put(values: tuple, at: int, value: object) -> tuple:  # type: ignore[type-arg]
    return (*values[:at], value, *values[at + 1 :])
