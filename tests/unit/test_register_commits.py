"""Paxos commit and three-phase commit are safe, and live once faults stop: all states are explored.

In the models: messages lost, late, repeated and overtaken, processes killed between any two steps,
leaders with stale rows, deadlines at any time, a coordinator that a power cut sets back (Paxos
commit), participants that nobody reaches and that end alone. Real are the tables of a participant,
the counting of votes and the decisions. Registers are atomic; branches in the
same state are not told apart. Three branches each are explored with the contract tests.
"""

from dataclasses import replace

import pytest

from coordination.transactions import machine
from coordination.transactions.machine import Local
from coordination.transactions.protocols import paxos, three_phase
from coordination.transactions.types import Ballot, Outcome, Snapshot, Vote
from tests.unit.registercheck.paxos import PaxosCommit
from tests.unit.registercheck.paxos import Rules as PaxosRules
from tests.unit.registercheck.search import search
from tests.unit.registercheck.three_phase import Rules as ThreePhaseRules
from tests.unit.registercheck.three_phase import ThreePhase


def test_paxos_commit_is_safe_and_ends_from_every_state() -> None:
    found = search(PaxosCommit(2))
    print(f"\nPaxos commit, 2 branches: {found}")
    assert found.broken is None
    assert found.states > 1_000


def test_three_phase_commit_with_its_register_is_safe_and_ends_from_every_state() -> None:
    found = search(ThreePhase(2))
    print(f"\nthree-phase commit, 2 branches: {found}")
    assert found.broken is None
    assert found.states > 1_000


def before_it_lasts(local: Local, body: Vote) -> tuple[Local, Vote]:
    return (local, Vote.YES) if local is Local.IDLE else machine.prepare(local, body)


def buried_is_forgotten(local: Local, body: Vote) -> tuple[Local, Vote]:
    return machine.prepare(Local.IDLE if local is Local.TOMBSTONE else local, body)


def aborts_itself(local: Local, outcome: Outcome) -> tuple[Local, object]:
    return machine.finish(local, Outcome.ABORTED if local is Local.PREPARED else outcome)


def whoever_writes_last(held: str | None, wish: str) -> str:
    return wish


def its_own_word(ballot: Ballot, held: str) -> Ballot:
    return ballot


def silence_is_consent(held: object) -> Outcome:
    votes = set(held)  # type: ignore[call-overload]
    return Outcome.ABORTED if paxos.NO in votes else Outcome.COMMITTED


def silence_is_refusal(held: object) -> Outcome:
    votes = set(held)  # type: ignore[call-overload]
    return Outcome.COMMITTED if votes == {paxos.YES} else Outcome.ABORTED


def majority_of_votes(held: object) -> Outcome | None:
    votes = list(held)  # type: ignore[call-overload]
    if votes.count(paxos.YES) > len(votes) // 2:
        return Outcome.COMMITTED
    return paxos.outcome(votes)


PAXOS_MUTANTS = {
    "a vote before what it stands for is prepared": PaxosRules(prepare=before_it_lasts),
    "a prepare after the tombstone": PaxosRules(prepare=buried_is_forgotten),
    "who is alone aborts by itself": PaxosRules(finish=aborts_itself),
    "a register that is written twice": PaxosRules(written=whoever_writes_last),
    "a vote that counts against its register": PaxosRules(counted=its_own_word),
    "a missing vote taken for a yes": PaxosRules(outcome=silence_is_consent),
    "a missing vote taken for a no": PaxosRules(outcome=silence_is_refusal),
    "a majority of votes": PaxosRules(outcome=majority_of_votes),
    "giving up in the row alone": PaxosRules(closes=False),
}


@pytest.mark.parametrize("name", PAXOS_MUTANTS)
def test_a_defect_in_paxos_commit_is_found(name: str) -> None:
    found = search(PaxosCommit(3 if "majority" in name else 2, PAXOS_MUTANTS[name]))
    print(f"\n{name}: {found}")
    assert found.broken is not None


def commits_on_the_votes(snapshot: Snapshot) -> tuple[Outcome, str] | None:
    asked = three_phase.decision(snapshot)
    voted = [branch for branch in snapshot.branches if branch.vote is Vote.YES]
    return (Outcome.COMMITTED, "one said yes") if asked is None and voted else asked


def tells_too_early(snapshot: Snapshot) -> object:
    yes = tuple(
        replace(branch, vote=Vote.YES) for branch in snapshot.branches if branch.vote is None
    )
    rest = tuple(branch for branch in snapshot.branches if branch.vote is not None)
    return three_phase.to_precommit(replace(snapshot, branches=(*rest, *yes)))


def waits_for_ever(snapshot: Snapshot) -> tuple[Outcome, str] | None:
    return three_phase.decision(replace(snapshot, expired=False))


THREE_PHASE_MUTANTS = {
    "a vote before what it stands for is prepared": ThreePhaseRules(prepare=before_it_lasts),
    "a commit before every vote": ThreePhaseRules(decision=commits_on_the_votes),
    "a pre-commit before every vote": ThreePhaseRules(to_precommit=tells_too_early),  # type: ignore[arg-type]
    "a deadline that nobody keeps": ThreePhaseRules(decision=waits_for_ever),
    "Skeen's timeouts, without the register": ThreePhaseRules(asks=False),
}


@pytest.mark.parametrize("name", THREE_PHASE_MUTANTS)
def test_a_defect_in_three_phase_commit_is_found(name: str) -> None:
    found = search(ThreePhase(2, THREE_PHASE_MUTANTS[name]))
    print(f"\n{name}: {found}")
    assert found.broken is not None


@pytest.mark.parametrize(
    ("vote", "held", "counts"),
    [
        (Vote.YES, "yes", Vote.YES),
        (Vote.YES, "read_only", Vote.YES),
        (Vote.YES, "no", Vote.NO),
        (Vote.READ_ONLY, "read_only", Vote.READ_ONLY),
        (Vote.READ_ONLY, "yes", Vote.YES),
        (Vote.READ_ONLY, "no", Vote.NO),
        (Vote.NO, "no", Vote.NO),
        (Vote.NO, "read_only", Vote.READ_ONLY),
        (Vote.NO, "yes", Vote.YES),
    ],
)
def test_a_vote_counts_as_its_register_has_it(vote: Vote, held: str, counts: Vote) -> None:
    ballot = paxos.counted(Ballot(seq=1, vote=vote, reason="mine"), held)
    assert ballot.vote is counts
    if vote is Vote.YES and held == "no":
        assert ballot.actual is None
