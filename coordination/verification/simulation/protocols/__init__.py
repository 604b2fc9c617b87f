"""Protocols that can be simulated: one module each, an adapter of what runs to the simulation."""

from coordination.verification.simulation.faults import FaultKind
from coordination.verification.simulation.protocols.classic_three_phase import ClassicThreePhase
from coordination.verification.simulation.protocols.paxos import PaxosCommit
from coordination.verification.simulation.protocols.saga import Saga
from coordination.verification.simulation.protocols.three_phase import ThreePhase
from coordination.verification.simulation.protocols.two_phase import TwoPhase
from coordination.verification.simulation.run import Adapter

ADAPTERS = {
    adapter.name: adapter
    for adapter in (TwoPhase, ThreePhase, PaxosCommit, Saga, ClassicThreePhase)
}
"""By the names that `manage.py concord simulate` knows."""


def adapter(name: str, *, kinds: tuple[FaultKind, ...] | None = None) -> Adapter:
    """The adapter of a protocol. Raises KeyError. `kinds` are what may fail, not all that can."""
    return ADAPTERS[name](kinds)
