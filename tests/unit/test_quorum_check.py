"""All orders of events within bounds keep one value per register, and known mistakes are found.

The rules explored are the ones that run: `consensus.proposer` and `consensus.acceptor`.
"""

import pytest

from tests.unit.quorumcheck.explore import Bounds, explore
from tests.unit.quorumcheck.rules import MUTANTS, Mutant, Rules
from tests.unit.quorumcheck.world import LOOK, READ

CLASSIC = Bounds(wishes=(("a",), ("b",)))
AGAIN = Bounds(wishes=(("a", "a"), ("b",)))
RESTARTED = Bounds(wishes=(("a", "b"),))
OPENED = Bounds(wishes=(("yes", "yes"), ("b",)), opens=(0,))
OPENED_TWICE = Bounds(wishes=(("yes",), ("no",)), opens=(0, 1))
OPENED_AND_READ = Bounds(wishes=(("yes",), ("b",), (READ,)), opens=(0,))
OPENED_AND_SEEN = Bounds(wishes=(("yes",), ("b",), (LOOK,)), opens=(0,))
SEEN = Bounds(wishes=(("a",), ("b",), (LOOK,)))
LATE_OPENED = Bounds(wishes=(("yes",), ("b",)), opens=(0,), is_late=True)
LATE_RESTARTED = Bounds(wishes=(("a", "b"),), is_late=True)

KEPT = [CLASSIC, AGAIN, OPENED, OPENED_TWICE, OPENED_AND_READ, OPENED_AND_SEEN, SEEN, LATE_OPENED]
SOUGHT = [RESTARTED, OPENED_TWICE, OPENED_AND_SEEN, OPENED_AND_READ, LATE_RESTARTED]


@pytest.mark.parametrize("bounds", KEPT, ids=str)
def test_every_order_of_events_keeps_one_value(bounds: Bounds) -> None:
    found = explore(Rules(), bounds)

    print(f"\n{found}", end=" ")
    assert found.broken is None, str(found)
    wished = {wish for each in bounds.wishes for wish in each} - {READ, LOOK}
    if len(bounds.opens) == 2:
        # Whoever uses ballot 0 offers the opening, whatever it wishes.
        wished = {"yes"}
    assert found.chosen == wished, "not every outcome was reached"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_every_known_mistake_is_found(mutant: type[Mutant]) -> None:
    for bounds in SOUGHT:
        found = explore(mutant(), bounds)
        if found.broken is not None:
            print(f"\n{mutant.__name__}: {mutant.__doc__}\n{found}")
            return
    pytest.fail(f"{mutant.__name__} breaks nothing within these bounds")
