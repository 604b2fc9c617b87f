"""Tests that participants keep what transactions rely on, for the project that writes them.

    from coordination.testing import participant_contract

    TestReserve = participant_contract(
        "stock.reserve",
        args=lambda: {"sku": "A", "qty": 1},
        observe=lambda: Stock.objects.get(sku="A").left,
    )

Needs pytest. `docs/testing-participants.md` says what is tested, and how.
"""

from coordination.testing.contract import ParticipantContract
from coordination.testing.making import participant_contract

__all__ = ["ParticipantContract", "participant_contract"]
