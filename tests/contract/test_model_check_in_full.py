"""The model check of `tests/unit/test_model_check.py` within wider bounds. Needs no server."""

import pytest

from tests.unit.modelcheck.explore import explore
from tests.unit.modelcheck.rules import Rules
from tests.unit.modelcheck.world import Bounds, Kind

XA, TCC, LAST = Kind.XA, Kind.TCC, Kind.LAST
SAGA = Kind.SAGA

COUNTS: dict[Bounds, tuple[int, int, int, int]] = {
    Bounds(kinds=(XA, TCC, TCC)): (62_151, 749, 941_391, 62_781),
    Bounds(kinds=(XA, XA, XA)): (48_786, 544, 803_820, 49_218),
    Bounds(kinds=(XA, XA, TCC), gives_up=False, then=True): (49_968, 1_418, 739_194, 51_164),
    Bounds(kinds=(TCC, TCC, TCC)): (14_155, 205, 205_825, 14_353),
    Bounds(kinds=(XA, XA), handlers=3, then=True): (15_609, 5_510, 272_429, 19_743),
    # Inline, the caller couples branches after the decision too, so two of them are the limit.
    Bounds(kinds=(XA, XA), handlers=1, inline=True): (6_732, 76_786, 615_166, 63_454),
    Bounds(kinds=(XA, TCC), handlers=1, inline=True, then=True): (4_447, 76_968, 641_021, 68_315),
    Bounds(kinds=(XA, LAST), inline=True, gives_up=False): (2_331, 187_375, 1_871_436, 142_514),
    Bounds(kinds=(SAGA, SAGA, SAGA), after=((), (), (1, 2)), gives_up=False): (
        *(2_774, 120_339, 1_080_978, 112_993),
    ),
}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("bounds", COUNTS, ids=str)
def test_every_state_is_safe_and_leads_to_the_end_once_faults_stop(bounds: Bounds) -> None:
    found = explore(Rules(), bounds)
    print(f"\n{found}", end=" ")

    assert found.broken is None, str(found)
    assert found.counts == COUNTS[bounds], "the model has changed: look, then write the counts anew"
