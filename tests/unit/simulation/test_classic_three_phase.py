"""Classic three-phase commit: what it promises, what it needs for that, and what breaks it."""

from coordination.verification.simulation.campaign import campaign
from coordination.verification.simulation.events import EventKind
from coordination.verification.simulation.faults import FaultKind
from coordination.verification.simulation.protocols.classic_tables import (
    COORDINATOR,
    FINAL,
    PARTICIPANT,
    Cause,
    State,
)
from coordination.verification.simulation.protocols.classic_three_phase import ClassicThreePhase
from coordination.verification.simulation.protocols.two_phase import TwoPhase
from coordination.verification.simulation.run import Run, run
from coordination.verification.simulation.shrinking import shrunk

SCHEDULES = 20_000
PARTITION = (FaultKind.PARTITION,)
CRASH = (FaultKind.CRASH,)


def test_no_rule_leaves_a_final_state() -> None:
    for table in (COORDINATOR, PARTICIPANT):
        assert all(move.to is state for (state, _), move in table.items() if state in FINAL)


def test_who_is_uncertain_aborts_by_timeout_and_who_is_precommitted_commits() -> None:
    assert PARTICIPANT[State.READY, Cause.TIMEOUT].to is State.ABORTED
    assert PARTICIPANT[State.PRECOMMITTED, Cause.TIMEOUT].to is State.COMMITTED


def test_crashes_alone_break_nothing_and_block_nobody() -> None:
    """With messages that arrive in time, broadcasts that go out whole, and sites that ask."""
    found = campaign(ClassicThreePhase(CRASH), schedules=SCHEDULES)
    print(f"\n{found}", end=" ")

    assert not found.broken, str(found)
    assert found.counts


def test_a_partition_breaks_atomicity() -> None:
    smallest = _counterexample(ClassicThreePhase(PARTITION))

    assert [fault.kind for fault in smallest.faults] == [FaultKind.PARTITION]
    assert {"committed", "aborted"} <= _states(smallest)
    assert any(event.fault is FaultKind.PARTITION for event in smallest.trace)


def test_a_partition_with_a_crash_breaks_it_among_the_participants_themselves() -> None:
    parted = ClassicThreePhase((FaultKind.PARTITION, FaultKind.CRASH))

    runs = (run(parted, seed) for seed in range(1, SCHEDULES))
    assert any(each.broken and "c" not in _sites(each) for each in runs)


def test_a_late_message_breaks_it() -> None:
    smallest = _counterexample(ClassicThreePhase((FaultKind.MESSAGE_LATE,)))

    assert {fault.kind for fault in smallest.faults} == {FaultKind.MESSAGE_LATE}


def test_a_pause_of_the_coordinator_breaks_it() -> None:
    smallest = _counterexample(ClassicThreePhase((FaultKind.PAUSE,)))

    assert [fault.kind for fault in smallest.faults] == [FaultKind.PAUSE]


def test_a_crash_amid_a_broadcast_breaks_it() -> None:
    """So even crashes alone are survived only where a broadcast is one step."""
    _counterexample(ClassicThreePhase(CRASH, whole_broadcasts=False))


def test_the_same_partitions_do_not_break_a_protocol_with_a_register() -> None:
    found = campaign(TwoPhase(PARTITION), schedules=5_000)

    assert not found.broken, str(found)
    assert found.counts


def _counterexample(adapter: ClassicThreePhase) -> Run:
    found = campaign(adapter, schedules=SCHEDULES, until_broken=True)
    assert found.broken, "no counterexample"
    smallest = shrunk(adapter, found.violations[0])
    print(f"\n{smallest}", end=" ")
    assert smallest.broken is not None
    assert len(smallest.faults) <= 2
    return smallest


def _states(run: Run) -> set[str]:
    return {event.what for event in run.trace if event.kind is EventKind.STATE}


def _sites(run: Run) -> set[str]:
    return set((run.broken or "").replace(",", "").split())
