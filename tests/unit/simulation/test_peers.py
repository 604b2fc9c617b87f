"""Branches of a node that does not reach the coordinator's rows, and goes by messages alone."""

from coordination.verification.simulation.campaign import campaign
from coordination.verification.simulation.engine.kinds import Shape
from coordination.verification.simulation.engine.rules import Rules
from coordination.verification.simulation.faults import FaultKind
from coordination.verification.simulation.protocols.two_phase import TCC, XA, TwoPhase

SCHEDULES = 5_000
RESERVING = (Shape((TCC, TCC), peers=True),)
PREPARING = (Shape((XA, XA), peers=True), Shape((XA, TCC), peers=True))
PLANNED = tuple([kind for kind in FaultKind if kind is not FaultKind.MESSAGE_REORDERED])
WITHOUT_STRANGERS = tuple([kind for kind in PLANNED if kind is not FaultKind.FOREIGN_ENDING])


class NoIsEnd(Rules):
    """A peer's no ends its branch, without a tombstone."""

    peer_no_ends_branch = True


def test_a_peers_reservations_end_with_the_transaction() -> None:
    found = campaign(TwoPhase(WITHOUT_STRANGERS, shapes=RESERVING), schedules=SCHEDULES)

    assert not found.broken, str(found)
    assert found.counts


def test_what_a_peer_has_prepared_ends_with_the_transaction() -> None:
    found = campaign(TwoPhase(WITHOUT_STRANGERS, shapes=PREPARING), schedules=2 * SCHEDULES)

    assert not found.broken, str(found)
    assert found.counts


def test_a_peers_no_that_ends_its_branch_leaves_work_prepared_for_ever() -> None:
    """Its body refuses in one attempt, and another attempt prepares."""
    mistaken = TwoPhase(WITHOUT_STRANGERS, rules=NoIsEnd(), shapes=PREPARING)

    assert campaign(mistaken, schedules=SCHEDULES).broken
