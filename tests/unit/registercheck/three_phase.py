"""Three-phase commit with its register: the row, the participants' notes, and who is left alone."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from coordination.transactions import machine
from coordination.transactions.machine import BranchRow, Local, Row
from coordination.transactions.protocols import three_phase
from coordination.transactions.types import (
    Ballot,
    BranchState,
    Form,
    Mode,
    Outcome,
    Protocol,
    Snapshot,
    Vote,
)


@dataclass(frozen=True, slots=True)
class World:
    locals: tuple[Local, ...]
    notes: tuple[bool, ...]
    row: Row
    acknowledged: tuple[bool, ...]
    ballots: frozenset[tuple[int, Vote]]
    messages: frozenset[int] = frozenset()
    """Branches that somebody is about to tell of the votes, perhaps late."""
    register: Outcome | None = None
    heuristic: bool = False
    told: frozenset[Outcome] = frozenset()


@dataclass(frozen=True)
class Rules:
    """What the moves are made of; a mutant replaces one."""

    prepare: Callable[[Local, Vote], tuple[Local, Vote]] = machine.prepare
    decision: Callable[[Snapshot], tuple[Outcome, str] | None] = three_phase.decision
    to_precommit: Callable[[Snapshot], Iterable[BranchState]] = three_phase.to_precommit
    asks: bool = True
    """Whether who is left alone asks the register. Without, it is Skeen's protocol."""


@dataclass(frozen=True)
class ThreePhase:
    branches: int
    rules: Rules = field(default_factory=Rules)

    def initial(self) -> World:
        each = range(self.branches)
        no = tuple(False for _ in each)
        row = Row(branches=tuple(BranchRow() for _ in each))
        return World(tuple(Local.IDLE for _ in each), no, row, no, frozenset())

    def broken(self, state: World) -> str | None:
        if state.heuristic:
            return "a branch ended against the outcome"
        if len(state.told) > 1:
            return "two outcomes were told"
        if {Local.COMMITTED, Local.TOMBSTONE} <= set(state.locals):
            return "one branch committed and another aborted"
        return None

    def moves(self, state: World) -> Iterator[tuple[str, World]]:
        for at in range(self.branches):
            for body in (Vote.YES, Vote.NO):
                yield f"{at} is asked, body {body}", self._prepare(state, at, body)
            yield f"{at} is finished", self._finish(state, at, state.register)
            yield f"{at} finishes alone", self._alone(state, at)
            if state.notes[at]:
                yield f"the note of {at} is acknowledged", self._acknowledge(state, at)
        for at in state.messages:
            yield f"{at} notes that all voted yes", self._note(state, at)
        for at, vote in state.ballots:
            yield f"{at} votes {vote}", self._vote(state, at, vote)
        yield "a leader tells of the votes", self._tell(state)
        for expired in (False, True):
            yield f"a leader decides, expired {expired}", self._decide(state, expired=expired)

    def fair(self, state: World) -> Iterable[Callable[[World], World]]:
        yield partial(self._decide, expired=True)
        for at in range(self.branches):
            yield lambda now, at=at: self._finish(now, at, now.register)  # type: ignore[misc]

    def canonical(self, state: World) -> World:
        """The same state with its branches in one order: they differ in nothing else."""

        def key(at: int) -> tuple[object, ...]:
            votes = sorted(vote for seq, vote in state.ballots if seq == at)
            row = state.row.branches[at].vote or ""
            known = (state.notes[at], state.acknowledged[at], at in state.messages)
            return (state.locals[at], votes, row, known)

        order = sorted(range(self.branches), key=key)
        place = {at: new for new, at in enumerate(order)}
        return replace(
            state,
            locals=tuple(state.locals[at] for at in order),
            notes=tuple(state.notes[at] for at in order),
            acknowledged=tuple(state.acknowledged[at] for at in order),
            row=replace(state.row, branches=tuple(state.row.branches[at] for at in order)),
            ballots=frozenset((place[at], vote) for at, vote in state.ballots),
            messages=frozenset(place[at] for at in state.messages),
        )

    def over(self, state: World) -> bool:
        ended = {Outcome.COMMITTED: Local.COMMITTED, Outcome.ABORTED: Local.TOMBSTONE}
        return state.register is not None and set(state.locals) == {ended[state.register]}

    def _prepare(self, state: World, at: int, body: Vote) -> World:
        local, vote = self.rules.prepare(state.locals[at], body)
        locals_ = _put(state.locals, at, local)
        return replace(state, locals=locals_, ballots=state.ballots | {(at, vote)})

    def _vote(self, state: World, at: int, vote: Vote) -> World:
        ballots = state.ballots - {(at, vote)}
        if state.row.branches[at].vote is not None:
            return replace(state, ballots=ballots)
        branch = replace(state.row.branches[at], vote=Ballot(seq=at + 1, vote=vote).vote)
        row = replace(state.row, branches=_put(state.row.branches, at, branch))
        state = replace(state, row=row, ballots=ballots)
        return self._ask(state, Outcome.ABORTED) if vote is Vote.NO else state

    def _tell(self, state: World) -> World:
        if state.register is not None:
            return state
        seqs = {branch.seq - 1 for branch in self.rules.to_precommit(self._snapshot(state))}
        return replace(state, messages=state.messages | seqs)

    def _note(self, state: World, at: int) -> World:
        return replace(state, notes=_put(state.notes, at, True), messages=state.messages - {at})

    def _acknowledge(self, state: World, at: int) -> World:
        return replace(state, acknowledged=_put(state.acknowledged, at, True))

    def _decide(self, state: World, *, expired: bool) -> World:
        asked = self.rules.decision(self._snapshot(state, expired=expired))
        return state if asked is None else self._ask(state, asked[0])

    def _ask(self, state: World, outcome: Outcome) -> World:
        held = state.register or outcome
        return replace(state, register=held, told=state.told | {held})

    def _alone(self, state: World, at: int) -> World:
        if state.locals[at] is not Local.PREPARED:
            return state
        wish = Outcome.COMMITTED if state.notes[at] else Outcome.ABORTED
        if not self.rules.asks:
            return self._finish(state, at, wish)
        state = self._ask(state, wish)
        return self._finish(state, at, state.register)

    def _finish(self, state: World, at: int, outcome: Outcome | None) -> World:
        if outcome is None:
            return state
        local, actual = machine.finish(state.locals[at], outcome)
        return replace(
            state,
            locals=_put(state.locals, at, local),
            heuristic=state.heuristic or actual.heuristic,
            told=state.told | {outcome},
        )

    def _snapshot(self, state: World, *, expired: bool = False) -> Snapshot:
        branches = tuple(
            BranchState(
                seq=at + 1,
                participant=str(at),
                node="bank",
                using="bank",
                mode=Mode.XA,
                form=Form.PREPARE,
                vote=branch.vote,
                precommitted=state.acknowledged[at],
            )
            for at, branch in enumerate(state.row.branches)
        )
        return Snapshot(
            gid="bank-00000000-0000000000000000",
            protocol=Protocol.THREE_PHASE,
            outcome=None,
            expired=expired,
            ended=False,
            continue_due=False,
            branches=branches,
        )


def _put(values: tuple, at: int, value: object) -> tuple:  # type: ignore[type-arg]
    return (*values[:at], value, *values[at + 1 :])
