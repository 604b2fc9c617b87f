"""Paxos commit and three-phase commit with three branches: see tests/unit/test_register_commits."""

import pytest

from tests.unit.registercheck.paxos import PaxosCommit
from tests.unit.registercheck.search import search
from tests.unit.registercheck.three_phase import ThreePhase

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("model", [PaxosCommit(3), ThreePhase(3)], ids=["paxos", "3pc"])
def test_three_branches_are_safe_and_end_from_every_state(model: PaxosCommit | ThreePhase) -> None:
    found = search(model)  # type: ignore[misc]
    print(f"\n{found}")
    assert found.broken is None
    assert found.states > 10_000
