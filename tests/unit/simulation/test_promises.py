"""10⁵ schedules of each protocol, under faults of every kind: none breaks a promise.

`SIMULATE_SCHEDULES` and `SIMULATE_SEED` ask for more and for others: `make soak` runs millions.
"""

import os

import pytest

from coordination.verification.simulation.campaign import campaign
from coordination.verification.simulation.protocols import ADAPTERS, adapter

SCHEDULES = int(os.environ.get("SIMULATE_SCHEDULES", "100000"))
SEED = int(os.environ.get("SIMULATE_SEED", "1"))
BLOCKS = 4
FOR_THE_LAB = "3pc-classic"
"""The one that is there to be broken."""


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("block", range(BLOCKS))
@pytest.mark.parametrize("protocol", [name for name in ADAPTERS if name != FOR_THE_LAB])
def test_no_schedule_breaks_a_promise(protocol: str, block: int) -> None:
    schedules = SCHEDULES // BLOCKS
    found = campaign(adapter(protocol), schedules=schedules, seed=SEED + block * schedules)
    print(f"\n{found}", end=" ")

    assert not found.broken, str(found)
    assert found.counts, f"a fault never occurred: {found.missing}"
