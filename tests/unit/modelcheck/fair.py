"""Does every state lead to the end once faults stop?

From a state all messages are lost, and then one fair schedule runs: running handlers to their end,
the caller, the sweeper with what it sends delivered, the orphan sweep. Bodies' answers, lateness
and the deadline stay free, and all must lead to the end. As every reachable state has such a run,
every bottom component of the fault-free moves holds the end, so every fair run reaches it.
"""

from collections.abc import Iterator

from coordination.transactions.engine import Continue, Decide, Send
from coordination.transactions.types import Phase
from tests.unit.modelcheck.moves import Move, begun, caller_moves, claimed, handler_moves, orphaned
from tests.unit.modelcheck.numbering import Numbering, Packed
from tests.unit.modelcheck.properties import ended_well, uncoupled
from tests.unit.modelcheck.rules import Rules, with_row
from tests.unit.modelcheck.world import FINISH, PREPARE, At, Handler, State, replaced

NOTHING = "    and nobody sees anything to do"


class Runs:
    """Fair runs from any number of states, each state of them followed once."""

    def __init__(self, rules: Rules, numbers: Numbering) -> None:
        self.rules, self.numbers = rules, numbers
        self._ends: dict[Packed, bool] = {}

    @property
    def visited(self) -> int:
        return len(self._ends)

    def stuck_from(self, packed: Packed) -> list[str] | None:
        """The run from a state that does not end, None if all do. Depth first."""
        way: list[tuple[Packed, Iterator[tuple[str, Packed]]]] = []
        words: list[str] = []
        at, word = self.numbers.bare(packed), ""
        while True:
            known = self._ends.get(at)
            if known is None:
                self._ends[at] = False
                way.append((at, self._followers(at)))
                words.append(word)
            elif not known:
                return [*words[1:], word, "    and so on for ever"]
            while (following := next(way[-1][1], None) if way else None) is None:
                if not way:
                    return None
                self._ends[way.pop()[0]] = True
                words.pop()
            word, at = following
            if word == NOTHING:
                return [*words[1:], NOTHING]

    def _followers(self, packed: Packed) -> Iterator[tuple[str, Packed]]:
        state = self.numbers.state(packed)
        moved = False
        for move in self._next(state):
            moved = True
            for after in self._arrived(move.state):
                yield f"    {move}", self.numbers.bare(after)
        if not moved and not ended_well(state):
            yield NOTHING, packed

    def _arrived(self, state: State) -> list[Packed]:
        if len(state.branches) > 1 and uncoupled(self.rules, state):
            return self.numbers.apart(state)
        return [self.numbers.packed(state)]

    def _next(self, state: State) -> Iterator[Move]:
        """The moves of the one who is next."""
        for index, branch in enumerate(state.branches):
            if branch.running:
                yield from handler_moves(self.rules, state, index, 0)
                return
        if state.caller is not None:
            yield from caller_moves(self.rules, state)
            return
        swept = [
            self._swept(state, expired=expired)
            for expired in (False, True)
            if self.rules.effects_of(state, expired=expired)
        ]
        if swept:
            yield from swept
            return
        for index, branch in enumerate(state.branches):
            if self.rules.orphan_sweep and orphaned(branch, state.outcome):
                found = begun(branch, Handler(At.ORPHAN, state.outcome))
                yield Move("orphan sweep", f"branch {index + 1}", replaced(state, index, found))
                return

    def _swept(self, state: State, *, expired: bool) -> Move:
        words, after = [], state
        for effect in self.rules.effects_of(state, expired=expired):
            if isinstance(effect, Decide):
                words.append(f"decides {effect.outcome}")
                row = self.rules.decisions(after, effect.outcome)
                after = with_row(after, row)
            elif isinstance(effect, Continue):
                words.append("sends the continuation")
                after = after._replace(then="done")
            else:
                words.append(f"sends {effect.phase} to branch {effect.seq}")
                after = _delivered(after, effect)
        return Move("sweeper", ", ".join(words), after)


def _delivered(state: State, send: Send) -> State:
    index = send.seq - 1
    message = PREPARE if send.phase is Phase.PREPARE else FINISH
    branch = state.branches[index]
    handler = claimed(branch, state.outcome, message)
    return state if handler is None else replaced(state, index, begun(branch, handler))
