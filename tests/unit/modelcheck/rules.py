"""The rules the model runs by: the project's own engine and machines, and handlers' habits.

Each mutant overrides one of these methods. Every use is remembered, so that a test can tell which
entries of the tables and which effects were reached.
"""

from coordination.transactions import engine, machine
from coordination.transactions.machine import BranchRow, Local, Row
from coordination.transactions.types import (
    Actual,
    Ballot,
    BranchState,
    Mode,
    Outcome,
    Phase,
    Protocol,
    Result,
    Snapshot,
    Vote,
)
from tests.unit.modelcheck.world import CONTINUE, FINISH, PREPARE, Branch, Kind, State

BALLOTS: dict[str, tuple[Vote, Actual | None]] = {
    "yes": (Vote.YES, None),
    "yes, committed": (Vote.YES, Actual.COMMITTED),
    "no": (Vote.NO, None),
    "no, aborted": (Vote.NO, Actual.ABORTED),
    "read only": (Vote.READ_ONLY, Actual.READ_ONLY),
}


class Rules:
    """What runs. Attributes are the handlers' habits that mutants break."""

    orphan_sweep = True
    buries = True
    """An abort leaves a tombstone."""
    prepares_before_vote = True
    waits_for_register = True
    """A prepared participant does nothing by itself."""
    reads_register_back = True
    """Outcomes told are the register's, not the wish it was asked with."""
    tells_after_vote = True
    finishes_before_ack = True
    buries_before_no = True
    """A tcc or one-phase body that refused leaves a tombstone before its no is cast."""
    looks_before_no = True
    """A no after too many attempts asks the witness first."""
    knows_participant = True
    """Tcc, one phase: no worker votes for a participant it does not know."""
    ends_unrun = True
    """Tcc: a branch the caller has not run is no ended branch; the finish phase buries it."""
    sends_last_early = False
    gives_up = True
    buries_empty = True
    """A compensation of what never was leaves a tombstone too."""
    ends_overtaken = False
    """Of a saga: a message to act ends the step that the decision has overtaken."""
    ordered = False
    """Whether it is a saga that is explored."""
    frozen = True
    """After the decision nothing couples branches, so they may be explored one by one."""

    def __init__(self) -> None:
        self.prepared: set[tuple[Local, Vote]] = set()
        self.finished: set[tuple[Local, Outcome]] = set()
        self.steps_prepared: set[tuple[Local, Vote]] = set()
        self.steps_finished: set[tuple[Kind, Local, Outcome]] = set()
        self.effects: set[str] = set()
        self._demands: dict[object, tuple[list[str], set[str]]] = {}
        self._effects: dict[object, tuple[engine.Effect, ...]] = {}
        self._votes: dict[object, Row | None] = {}
        self._results: dict[object, Row] = {}
        self._decisions: dict[object, Row] = {}

    def prepare(self, local: Local, body: Vote, kind: Kind) -> tuple[Local, Vote]:
        (self.steps_prepared if kind.mode is Mode.SAGA else self.prepared).add((local, body))
        return machine.prepare(local, body, mode=kind.mode)

    def finish(self, local: Local, outcome: Outcome, kind: Kind) -> tuple[Local, Actual]:
        if kind.mode is Mode.SAGA:
            self.steps_finished.add((kind, local, outcome))
        else:
            self.finished.add((local, outcome))
        return machine.finish(local, outcome, mode=kind.mode, form=kind.form)

    def record_votes(self, row: Row, ballots: tuple[Ballot, ...]) -> Row:
        return machine.record_votes(row, ballots)

    def decide(self, row: Row, outcome: Outcome) -> Row:
        return machine.decide(row, outcome)

    def record_results(self, row: Row, results: tuple[Result, ...]) -> Row:
        return machine.record_results(row, results)

    def step(self, snapshot: Snapshot) -> tuple[engine.Effect, ...]:
        return engine.step(snapshot)

    # What the model asks, remembered.

    def effects_of(self, state: State, *, expired: bool) -> tuple[engine.Effect, ...]:
        """What a coordinator that reads the rows now wants done."""
        key = (state.outcome, state.then, expired, rows(state.branches))
        if key not in self._effects:
            effects = self.step(snapshot_of(state, expired=expired))
            waiting = self.step(snapshot_of(state, expired=expired, due=False))
            # Delay is covered by messages that arrive late: it only ever takes sends away.
            assert set(waiting) <= set(effects), (waiting, effects)
            self.effects |= {_name(effect, state) for effect in effects} or {"nothing"}
            self._effects[key] = effects
        return self._effects[key]

    def demands(self, state: State) -> tuple[list[str], set[str]]:
        """The messages to each branch and the wishes of all who may read the rows now."""
        key = (state.outcome, state.then, rows(state.branches))
        if key not in self._demands:
            sent, wishes = [""] * len(state.branches), set[str]()
            for expired in (False, True):
                for effect in self.effects_of(state, expired=expired):
                    if isinstance(effect, engine.Decide):
                        wishes.add(effect.outcome)
                    elif isinstance(effect, engine.Continue):
                        wishes.add(CONTINUE)
                    else:
                        message = PREPARE if effect.phase is Phase.PREPARE else FINISH
                        sent[effect.seq - 1] = "".join({*sent[effect.seq - 1], message})
            self._demands[key] = sent, wishes
        return self._demands[key]

    def results(self, state: State, result: Result) -> Row:
        """The rows after a branch's ending is recorded."""
        key = (state.outcome, rows(state.branches), result)
        if key not in self._results:
            self._results[key] = self.record_results(row_of(state), (result,))
        return self._results[key]

    def decisions(self, state: State, outcome: Outcome) -> Row:
        """The rows after the register was asked."""
        key = (state.outcome, rows(state.branches), outcome)
        if key not in self._decisions:
            self._decisions[key] = self.decide(row_of(state), outcome)
        return self._decisions[key]

    def votes(self, state: State, ballots: tuple[tuple[int, str], ...]) -> Row | None:
        """The rows after ballots (index, kind); None if a last agent was refused."""
        key = (state.outcome, rows(state.branches), ballots)
        if key not in self._votes:
            cast = tuple(
                Ballot(seq=index + 1, vote=BALLOTS[kind][0], actual=BALLOTS[kind][1])
                for index, kind in ballots
            )
            try:
                self._votes[key] = self.record_votes(row_of(state), cast)
            except machine.IllegalTransition:
                self._votes[key] = None
        return self._votes[key]


def _name(effect: engine.Effect, state: State) -> str:
    if isinstance(effect, engine.Decide):
        missing = any(b.vote == "" for b in state.branches if b.kind is not Kind.FORWARD)
        return f"decide {effect.outcome}, votes {'missing' if missing else 'complete'}"
    if isinstance(effect, engine.Send):
        return f"send {effect.phase} to {state.branches[effect.seq - 1].kind}"
    return "continue"


def rows(branches: tuple[Branch, ...]) -> tuple[tuple[Kind, str, str], ...]:
    """What the coordinator's rows say of branches."""
    return tuple([(branch.kind, branch.vote, branch.actual) for branch in branches])


def row_of(state: State) -> Row:
    """The rows as the reference machine has them."""
    branches = tuple(
        BranchRow(
            form=branch.kind.form,
            mode=branch.kind.mode,
            after=branch.after or (),
            vote=Vote(branch.vote) if branch.vote else None,
            actual=Actual(branch.actual) if branch.actual else None,
        )
        for branch in state.branches
    )
    return Row(branches=branches, outcome=Outcome(state.outcome) if state.outcome else None)


def snapshot_of(state: State, *, expired: bool, due: bool = True) -> Snapshot:
    """The rows as the engine has them."""
    row = row_of(state)
    branches = tuple(
        BranchState(
            seq=index + 1,
            participant=f"participant {index + 1}",
            node="node",
            using="",
            mode=state.branches[index].kind.mode,
            form=branch.form,
            vote=branch.vote,
            actual=branch.actual,
            after=branch.after,
            due=due,
        )
        for index, branch in enumerate(row.branches)
    )
    return Snapshot(
        gid="g",
        protocol=Protocol.TWO_PHASE if state.branches[0].after is None else Protocol.SAGA,
        outcome=row.outcome,
        expired=expired,
        ended=row.ended and state.then != "due",
        continue_due=state.then == "due",
        branches=branches,
    )


def with_row(state: State, row: Row) -> State:
    """The state after the rows changed."""
    branches = tuple(
        [
            branch
            if (new.vote or "") == branch.vote and (new.actual or "") == branch.actual
            else branch._replace(vote=new.vote or "", actual=new.actual or "")
            for branch, new in zip(state.branches, row.branches, strict=True)
        ]
    )
    return state._replace(outcome=row.outcome or "", branches=branches)
