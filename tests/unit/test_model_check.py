"""Transactions and sagas are safe, and live once faults stop: every state is looked at.

The project's own `step`, vote, decision and result rules and its tables of a participant run in a
model of all that is around them. Bounded are the branches and the handlers at one branch at a time
(two: a message and its duplicate). Unbounded is the rest: crashes of handlers and of the caller
between any two steps, lost, late, reordered and repeated messages, coordinators with stale
snapshots, cancels, a deadline at any time, clocks that disagree. Not in the model: outside
interference (a foreign ROLLBACK PREPARED, an operator's force), lost disks, workers of another
node. What handlers do around the pure rules is written down in `modelcheck/` by hand, after
`runner.py`, `together.py`, `worker.py`, `stepping.py`, `orphans.py` and `branches/`: a change there
has to be made here as well. A worker that has several branches is one of two things that are in it:
the caller of inline branches, or handlers of one branch each. Of a saga the caller is the latter,
since it votes for a step before it takes the next.
"""

from functools import cache

import pytest

from coordination.transactions.machine import FINISH, PREPARE, STEP_PREPARE, Local
from coordination.transactions.types import Outcome
from tests.unit.modelcheck.explore import Exploration, Search, explore
from tests.unit.modelcheck.mutants import MUTANTS, Mutant
from tests.unit.modelcheck.rules import Rules
from tests.unit.modelcheck.saga_mutants import SAGA_MUTANTS
from tests.unit.modelcheck.world import Bounds, Kind

XA, TCC, LAST, ONE_PHASE = Kind.XA, Kind.TCC, Kind.LAST, Kind.ONE_PHASE
SAGA, PIVOT, FORWARD = Kind.SAGA, Kind.PIVOT, Kind.FORWARD
CHAIN = ((), (1,), (2,))
JOIN = ((), (), (1, 2))

COUNTS: dict[Bounds, tuple[int, int, int, int]] = {
    # states before the decision, after it, moves, states in fair runs
    Bounds(kinds=(XA, XA, XA), gives_up=False): (18_920, 504, 293_012, 19_320),
    Bounds(kinds=(XA, XA), then=True): (2_021, 1_088, 28_729, 2_885),
    Bounds(kinds=(TCC, TCC)): (931, 205, 10_218, 1_129),
    Bounds(kinds=(XA, TCC)): (2_743, 749, 32_686, 3_373),
    Bounds(kinds=(LAST,)): (6, 60, 243, 60),
    Bounds(kinds=(XA, LAST), handlers=1, inline=True): (376, 7_803, 49_458, 6_062),
    Bounds(kinds=(TCC, LAST), handlers=1, inline=True): (176, 3_400, 21_367, 2_909),
    Bounds(kinds=(ONE_PHASE,), handlers=3): (109, 231, 2_184, 304),
    Bounds(kinds=(SAGA, SAGA)): (931, 237, 10_333, 1_161),
    Bounds(kinds=(XA, SAGA)): (2_743, 781, 32_801, 3_405),
    Bounds(kinds=(SAGA, SAGA), after=((), (1,)), handlers=3): (1_408, 37_931, 393_371, 36_969),
    Bounds(kinds=(SAGA, SAGA, SAGA), after=((), (), (1, 2)), handlers=1): (
        180,
        1_850,
        7_533,
        1_916,
    ),
    Bounds(kinds=(SAGA, SAGA, SAGA), after=CHAIN, gives_up=False): (1_178, 27_922, 242_776, 26_495),
    Bounds(kinds=(SAGA, PIVOT, FORWARD), after=CHAIN, then=True): (168, 1_234, 8_899, 1_392),
    Bounds(kinds=(SAGA, SAGA, PIVOT, FORWARD), after=(*JOIN, (3,)), handlers=1): (
        *(179, 1_641, 6_972, 1_742),
    ),
    Bounds(kinds=(XA, SAGA), after=((), (1,))): (769, 13_675, 111_192, 13_825),
    Bounds(kinds=(SAGA, TCC), after=((), (1,))): (228, 2_247, 15_898, 2_270),
    Bounds(kinds=(PIVOT, FORWARD, FORWARD), after=((), (1,), (1,))): (26, 580, 3_962, 606),
}

EFFECTS = {
    "nothing",
    "continue",
    "decide aborted, votes missing",
    *(f"send {phase} to {kind}" for phase in ("prepare", "finish") for kind in Kind),
} - {"send prepare to forward", "send finish to pivot"}
"""Neither a complete ballot nor a no is ever found undecided: the vote that makes it decides. What
lies behind a pivot has no vote, and the pivot ends with its own."""

STEPS_FINISHED = {
    *((SAGA, local, Outcome.ABORTED) for local in (Local.IDLE, Local.DONE, Local.TOMBSTONE)),
    (SAGA, Local.DONE, Outcome.COMMITTED),
    *((PIVOT, local, Outcome.ABORTED) for local in (Local.IDLE, Local.TOMBSTONE)),
    *((FORWARD, local, Outcome.COMMITTED) for local in (Local.IDLE, Local.DONE)),
}
"""The other entries of steps need an operator's force, or a stranger."""


class Coupled(Rules):
    """The same rules, with all branches explored together to the end."""

    frozen = False


@cache
def explored(bounds: Bounds) -> tuple[Exploration, Rules]:
    rules = Rules()
    found = explore(rules, bounds)
    print(f"\n{found}", end=" ")
    return found, rules


def decided_branches(rules: Rules, bounds: Bounds) -> set[tuple[str, object]]:
    search = Search(rules, bounds)
    assert search.run().broken is None
    states = map(search.numbers.state, search.parents)
    return {(s.outcome, branch) for s in states if s.outcome for branch in s.branches}


@pytest.mark.parametrize("bounds", COUNTS, ids=str)
def test_every_state_is_safe_and_leads_to_the_end_once_faults_stop(bounds: Bounds) -> None:
    found, _ = explored(bounds)

    assert found.broken is None, str(found)
    assert found.counts == COUNTS[bounds], "the model has changed: look, then write the counts anew"


def test_the_check_reaches_every_rule_that_can_be_reached() -> None:
    """Heuristic entries are reached as questions; that none is recorded is one of the promises."""
    rules = [explored(bounds)[1] for bounds in COUNTS]

    assert set().union(*(each.prepared for each in rules)) == set(PREPARE)
    assert set().union(*(each.finished for each in rules)) == set(FINISH)
    assert set().union(*(each.steps_prepared for each in rules)) == set(STEP_PREPARE)
    finished = set().union(*(each.steps_finished for each in rules))
    assert finished == STEPS_FINISHED
    assert set().union(*(each.effects for each in rules)) == EFFECTS


@pytest.mark.parametrize(
    "bounds", [Bounds(kinds=(TCC, TCC)), Bounds(kinds=(XA, TCC), handlers=1)], ids=str
)
def test_taking_decided_branches_apart_loses_no_state_of_any(bounds: Bounds) -> None:
    assert decided_branches(Rules(), bounds) == decided_branches(Coupled(), bounds)


@pytest.mark.parametrize("mutant", [*MUTANTS, *SAGA_MUTANTS], ids=lambda mutant: mutant.__name__)
def test_a_known_mistake_is_found(mutant: type[Mutant]) -> None:
    found = explore(mutant(), mutant.bounds)
    print(f"\n{mutant.__name__}: {mutant.__doc__}\n{found}")

    assert found.broken is not None
    assert mutant.breaks in found.broken
    assert found.trace
