"""Every known way to get transactions wrong is found, within a stated number of schedules."""

import pytest

from coordination.verification.simulation.campaign import campaign
from coordination.verification.simulation.protocols.two_phase import TwoPhase
from coordination.verification.simulation.shrinking import shrunk
from tests.unit.simulation.mutants import MUTANTS, Mutant
from tests.unit.simulation.mutants.register import BlindWrite

SCHEDULES = 20_000
"""Within so many each must die."""


def test_there_are_at_least_thirty_mutants() -> None:
    assert len(MUTANTS) >= 30


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_known_mistake_is_found(mutant: type[Mutant]) -> None:
    adapter = mutant.adapter(mutant.kinds, rules=mutant(), shapes=mutant.shapes)
    found = campaign(adapter, schedules=SCHEDULES, until_broken=True)

    assert found.broken, f"survived {found.schedules} schedules: {mutant.__doc__}"
    broken = found.violations[0].broken or ""
    print(f"\n{mutant.__name__}: {mutant.__doc__} Schedule {found.schedules}: {broken}", end=" ")
    assert any(words in broken for words in mutant.breaks)


def test_a_mistake_is_shown_with_no_fault_that_it_does_not_need() -> None:
    adapter = TwoPhase(rules=BlindWrite(), shapes=BlindWrite.shapes)
    failing = campaign(adapter, schedules=SCHEDULES, until_broken=True).violations[0]

    smallest = shrunk(adapter, failing)

    assert smallest.broken is not None
    assert len(smallest.faults) <= len(failing.faults)
    assert smallest.trace
