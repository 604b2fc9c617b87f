"""The pure engine: what has to happen next to one transaction.

The same `step` drives the vote handler, the sweeper, operators and the model checker. It decides
from a snapshot of the rows alone; the runner performs its effects, and whatever is lost on the way
is asked for again by the next step.
"""

from dataclasses import dataclass

from coordination.transactions.protocols import two_phase
from coordination.transactions.types import Outcome, Phase, Protocol, Snapshot

PROTOCOLS = {Protocol.TWO_PHASE: two_phase}


@dataclass(frozen=True, slots=True)
class Decide:
    """Ask the register for `outcome`; whatever it answers is the truth."""

    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True)
class Send:
    """Ask branch `seq` to do `phase`. Safe to repeat at any time."""

    phase: Phase
    seq: int


@dataclass(frozen=True, slots=True)
class Continue:
    """Start the signature that was to run after the decision."""


Effect = Decide | Send | Continue


def step(snapshot: Snapshot) -> tuple[Effect, ...]:
    """Effects that bring the transaction closer to its end; empty when nothing is due."""
    if snapshot.ended:
        return ()
    if snapshot.outcome is not None:
        return _finish(snapshot)
    protocol = PROTOCOLS[snapshot.protocol]
    decision = protocol.decision(snapshot)
    if decision is not None:
        return (Decide(*decision),)
    return tuple(
        Send(Phase.PREPARE, branch.seq) for branch in protocol.to_prepare(snapshot) if branch.due
    )


def _finish(snapshot: Snapshot) -> tuple[Effect, ...]:
    sends = tuple(
        Send(Phase.FINISH, branch.seq)
        for branch in snapshot.branches
        if not branch.finished and branch.due
    )
    return (*sends, Continue()) if snapshot.continue_due else sends
