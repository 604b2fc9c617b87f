"""Breadth first through all states, with the shortest counterexample; then, is each end reached.

Reductions, each sound: equal branches are exchangeable; what may be in flight is (see `moves`); and
once the register is set nobody reads another branch's row, so the branches of a decided state are
explored one by one, each as a transaction of its own, under the promises that each must keep alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from coordination.transactions.types import Outcome
from tests.unit.modelcheck import fair
from tests.unit.modelcheck.moves import Move, all_moves, in_flight, joint_moves, local_steps
from tests.unit.modelcheck.numbering import Numbering, Packed
from tests.unit.modelcheck.properties import broken_by, broken_in, uncoupled
from tests.unit.modelcheck.rules import Rules
from tests.unit.modelcheck.world import Bounds, State, start_of

FAULTS_STOP = "    faults stop, all messages are lost (branches may be numbered anew from here)"


class Broken(Exception):
    """A promise is broken in a state, or by a move out of it."""


@dataclass(slots=True, kw_only=True)
class Exploration:
    """What was found: counts, and the first broken promise with the way to it."""

    bounds: Bounds
    undecided: int = 0
    decided: int = 0
    """States after the decision: of one branch each, where branches are taken apart."""
    moves: int = 0
    fair_states: int = 0
    broken: str | None = None
    trace: list[str] = field(default_factory=list)

    @property
    def counts(self) -> tuple[int, int, int, int]:
        return self.undecided, self.decided, self.moves, self.fair_states

    def __str__(self) -> str:
        states = f"{self.undecided:,} states before the decision, {self.decided:,} after"
        rest = f"{self.moves:,} moves; {self.fair_states:,} states in fair runs"
        lines = [f"{self.bounds}: {states}; {rest}"]
        if self.broken is not None:
            lines += [f"broken: {self.broken}", *self.trace]
        return "\n".join(lines)


class Search:
    """One exploration within bounds."""

    def __init__(self, rules: Rules, bounds: Bounds) -> None:
        self.rules, self.bounds = rules, bounds
        rules.gives_up = bounds.gives_up
        rules.ordered = bool(bounds.after)
        self.numbers = Numbering(ordered=rules.ordered)
        self.parents: dict[Packed, Packed | None] = {}
        self.moves = 0
        self._steps: dict[tuple[int, str], tuple[int, ...]] = {}

    def run(self) -> Exploration:
        """Visit every state; stop at the first broken promise."""
        start = in_flight(self.rules, start_of(self.bounds))
        level = self._new(None, [self.numbers.packed(start)])
        found = Exploration(bounds=self.bounds)
        while level and found.broken is None:
            following: list[Packed] = []
            for at in level:
                try:
                    following += self._new(at, self._successors(at))
                except Broken:
                    found.broken, found.trace = self._explained(at)
                    break
            level = following
        found.moves = self.moves
        found.decided = sum(1 for packed in self.parents if self._outcome(packed))
        found.undecided = len(self.parents) - found.decided
        if found.broken is None:
            self._follow_fair_runs(found)
        return found

    def _new(self, parent: Packed | None, successors: list[Packed]) -> list[Packed]:
        new = [each for each in dict.fromkeys(successors) if each not in self.parents]
        self.parents.update(dict.fromkeys(new, parent))
        return new

    def _outcome(self, packed: Packed) -> str:
        return self.numbers.heads[packed[0]][0]

    def _successors(self, at: Packed) -> list[Packed]:
        state = self.numbers.state(at)
        if broken_in(state) is not None:
            raise Broken
        after = list(self._after_local_steps(at))
        self.moves += len(after)
        for move in joint_moves(self.rules, state):
            if self._fault(state, move) is not None:
                raise Broken
            self.moves += 1
            after += self._arrived(in_flight(self.rules, move.state))
        return after

    def _fault(self, before: State, move: Move) -> str | None:
        """What a move breaks by itself or, where branches part, in the state of them all."""
        fault = broken_by(before, move.state)
        if fault is not None or not self._parts(move.state):
            return fault
        return broken_in(in_flight(self.rules, move.state))

    def _parts(self, state: State) -> bool:
        return len(state.branches) > 1 and uncoupled(self.rules, state)

    def _arrived(self, state: State) -> list[Packed]:
        """A state, or, once it is decided, each of its branches alone."""
        if not self._parts(state):
            return [self.numbers.packed(state)]
        for wish in Outcome:
            assert self.rules.decisions(state, wish).outcome == state.outcome, "not deaf"
        return self.numbers.apart(state)

    def _after_local_steps(self, at: Packed) -> Iterator[Packed]:
        outcome = self._outcome(at)
        for place in range(1, len(at)):
            for branch in self._local_steps(at[place], outcome):
                yield self.numbers.sorted(at[0], [*at[1:place], branch, *at[place + 1 :]])

    def _local_steps(self, number: int, outcome: str) -> tuple[int, ...]:
        key = (number, outcome)
        if key not in self._steps:
            branch = self.numbers.branches[number]
            steps = local_steps(self.rules, self.bounds, branch, outcome)
            self._steps[key] = tuple([self.numbers.branch(after) for _, after in steps])
        return self._steps[key]

    def _follow_fair_runs(self, found: Exploration) -> None:
        runs = fair.Runs(self.rules, self.numbers)
        for packed in self.parents:
            stuck = runs.stuck_from(packed)
            if stuck is not None:
                found.broken = "no end, though faults have stopped"
                found.trace = [*self.trace(packed), FAULTS_STOP, *stuck]
                break
        found.fair_states = runs.visited

    def _explained(self, at: Packed) -> tuple[str, list[str]]:
        state, lines = self._replayed(at)
        fault = broken_in(state)
        if fault is not None:
            return fault, lines
        for move in joint_moves(self.rules, state):
            fault = self._fault(state, move)
            if fault is not None:
                return fault, [*lines, f"    {move}", f"    {_shown(move.state)}"]
        raise AssertionError("a fault that cannot be found again")

    def trace(self, last: Packed) -> list[str]:
        """The moves to a state."""
        return self._replayed(last)[1]

    def _replayed(self, last: Packed) -> tuple[State, list[str]]:
        """A state and the moves to it, made without exchanging branches so that numbers stay."""
        way: list[Packed] = []
        at: Packed | None = last
        while at is not None:
            way.append(at)
            at = self.parents[at]
        concrete, lines = in_flight(self.rules, start_of(self.bounds)), list[str]()
        for target in reversed(way[:-1]):
            move = self._move_to(concrete, target)
            lines.append(f"    {move}")
            concrete = in_flight(self.rules, move.state)
            if len(target) <= len(concrete.branches):
                alone = self.numbers.state(target).branches
                number = next(i for i, b in enumerate(concrete.branches, 1) if (b,) == alone)
                lines.append(f"    {_shown(concrete)}")
                lines.append(f"    decided; branch {number} goes on by itself, as branch 1")
                concrete = concrete._replace(branches=alone)
        return concrete, [*lines, f"    {_shown(concrete)}"]

    def _move_to(self, state: State, target: Packed) -> Move:
        return next(
            move
            for move in all_moves(self.rules, self.bounds, state)
            if target in self._arrived(in_flight(self.rules, move.state))
        )


def explore(rules: Rules, bounds: Bounds) -> Exploration:
    """Visit every state within the bounds, and follow the fair runs from each."""
    return Search(rules, bounds).run()


def _shown(state: State) -> str:
    branches = "; ".join(
        f"{index + 1} {branch.local}, vote {branch.vote or '-'}, ended {branch.actual or '-'}"
        for index, branch in enumerate(state.branches)
    )
    return f"register {state.outcome or '-'}: {branches}"
