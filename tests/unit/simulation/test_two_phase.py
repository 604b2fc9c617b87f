"""What the schedules of two-phase commit reach: each step, each process, each rule, each fault."""

from functools import cache

import pytest

from coordination.transactions.machine import FINISH, PREPARE, Local
from coordination.transactions.types import Actual, Outcome, Vote
from coordination.verification.simulation.campaign import Campaign, campaign
from coordination.verification.simulation.engine.kinds import Kind
from coordination.verification.simulation.engine.rules import Rules
from coordination.verification.simulation.faults import FaultKind
from coordination.verification.simulation.protocols.two_phase import TwoPhase
from coordination.verification.simulation.run import run

STEPS = {
    *("tx.begin", "tx.decide", "tx.snapshot", "tx.standing", "tx.continued", "sweep.lease"),
    *("branch.claim", "branch.enter", "branch.prepare", "branch.commit", "branch.vote"),
    *("branch.look", "branch.bury", "branch.finish", "branch.ack", "branch.delayed"),
    *("then.start", "after.start"),
}
"""Every statement beside which a process may die, but those of the orphan sweep, which are rare."""


class Watched(Rules):
    """The rules, and which entries of the machines' tables were asked."""

    def __init__(self) -> None:
        self.prepared: set[tuple[Local, Vote]] = set()
        self.finished: set[tuple[Local, Outcome]] = set()

    def prepare(self, kind: Kind, local: Local, body: Vote) -> tuple[Local, Vote]:
        self.prepared.add((local, body))
        return super().prepare(kind, local, body)

    def finish(self, kind: Kind, local: Local, outcome: Outcome) -> tuple[Local, Actual]:
        self.finished.add((local, outcome))
        return super().finish(kind, local, outcome)


def test_processes_die_beside_each_of_their_steps() -> None:
    found = _crashes()

    for after in (False, True):
        assert {name for _, name, side in found.crashes if side is after} >= STEPS


def test_every_process_dies_in_some_schedule() -> None:
    died = {process for process, _, _ in _crashes().crashes}

    workers = {f"{phase} {node}" for phase in ("prepare", "finish") for node in ("a1", "a2", "b1")}
    assert {"caller", "operator", "sweeper 1", "sweeper 2", *workers} <= died


@cache
def _crashes() -> Campaign:
    kinds = (FaultKind.CRASH, FaultKind.DATABASE_CRASH)
    found = campaign(TwoPhase(kinds), schedules=15_000)
    assert not found.broken, str(found)
    return found


@pytest.mark.parametrize("kind", [k for k in FaultKind if k is not FaultKind.MESSAGE_REORDERED])
def test_each_kind_of_fault_alone_is_survived(kind: FaultKind) -> None:
    found = campaign(TwoPhase((kind,)), schedules=1_000)

    assert not found.broken, str(found)
    assert found.counts


def test_without_faults_a_transaction_ends_in_moments() -> None:
    for seed in range(2_000):
        found = run(TwoPhase(), seed, faults=())

        assert found.broken is None, str(found)
        assert found.ended_us < 15_000_000, "only the deadline and the wait of the caller take time"


def test_the_schedules_reach_the_rules_of_a_participant() -> None:
    rules = Watched()
    campaign(TwoPhase(rules=rules), schedules=20_000)

    # What is prepared, committed or buried answers for its body, so that a body is not asked again.
    assert rules.prepared == {key for key in PREPARE if key[0] is Local.IDLE}
    # A tombstone that meets a commit takes a foreign rollback and ten attempts after it.
    assert rules.finished == set(FINISH) - {(Local.TOMBSTONE, Outcome.COMMITTED)}
