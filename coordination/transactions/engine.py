"""The pure engine: what has to happen next to one transaction.

The same `step` drives the vote handler, the sweeper, operators and the model checker. It decides
from a snapshot of the rows alone; the runner performs its effects, and whatever is lost on the way
is asked for again by the next step.
"""

from dataclasses import dataclass

from coordination.transactions.protocols import paxos, saga, three_phase, two_phase
from coordination.transactions.types import Outcome, Phase, Protocol, Snapshot

PROTOCOLS = {
    Protocol.TWO_PHASE: two_phase,
    Protocol.THREE_PHASE: three_phase,
    Protocol.PAXOS: paxos,
    Protocol.SAGA: saga,
}


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
    wanted = [(Phase.PREPARE, branch) for branch in protocol.to_prepare(snapshot)]
    if snapshot.protocol is Protocol.THREE_PHASE:
        wanted += [(Phase.PRECOMMIT, branch) for branch in three_phase.to_precommit(snapshot)]
    return tuple(Send(phase, branch.seq) for phase, branch in wanted if branch.due)


def _finish(snapshot: Snapshot) -> tuple[Effect, ...]:
    sends = tuple(
        Send(Phase.FINISH, branch.seq)
        for branch in PROTOCOLS[snapshot.protocol].to_finish(snapshot)
        if branch.due
    )
    return (*sends, Continue()) if snapshot.continue_due else sends
