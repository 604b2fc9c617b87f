"""The judge of atomicity: one planted violation of each kind, and none where none is."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from coordination.transactions.judging import (
    EndedBranch,
    EndedTransaction,
    History,
    Proofs,
    ViolationKind,
    judge,
)
from tests.unit.transaction_histories import GID, START

ONE, TWO = f"cc:{GID}:1", f"cc:{GID}:2"


def branch(seq: int, **changes: Any) -> EndedBranch:
    return replace(
        EndedBranch(
            seq=seq,
            participant=f"bank.p{seq}",
            node="bank",
            using="bank_a",
            mode="xa",
            form="prepare",
            vote="yes",
            actual="committed",
            reason="",
            finished_at=START + timedelta(milliseconds=1),
        ),
        **changes,
    )


def transaction(outcome: str, *branches: EndedBranch, **changes: Any) -> EndedTransaction:
    return replace(
        EndedTransaction(
            gid=GID,
            outcome=outcome,
            heuristic="",
            version=7,
            decided_at=START,
            ended_age_s=1.0,
            branches=branches,
            history=History(events=7, first=1, last=7, outcomes=(outcome, outcome)),
        ),
        **changes,
    )


BOTH = Proofs(witnesses={ONE: "W", TWO: "W"})
COMMITTED = transaction("committed", branch(1), branch(2))
UNDONE = branch(1, actual="aborted"), branch(2, actual="aborted", vote="no", reason="broke")
ABORTED = transaction("aborted", *UNDONE)

TCC = branch(2, mode="tcc")
TCC_COMMITTED = transaction("committed", branch(1), TCC)
TCC_UNDONE = transaction("aborted", UNDONE[0], branch(2, mode="tcc", actual="aborted"))
CONFIRMED = {"try": "try", "confirm": "confirm"}
CANCELLED = {"try": "try", "cancel": "cancel"}

STEP = branch(1, mode="saga")
DONE = {"try": "try"}
STEPS_COMMITTED = transaction("committed", STEP, branch(2))
STEPS_UNDONE = transaction(
    "aborted",
    branch(1, mode="saga", actual="aborted"),
    branch(2, mode="saga", actual="aborted", vote=None, reason="never asked for"),
)

SOUND: dict[str, tuple[EndedTransaction, Proofs]] = {
    "both committed": (COMMITTED, BOTH),
    "one read only": (
        transaction("committed", branch(1), branch(2, vote="read_only", actual="read_only")),
        Proofs(witnesses={ONE: "W"}),
    ),
    "aborted with a tombstone": (ABORTED, Proofs(witnesses={ONE: "A"})),
    "aborted without a trace": (ABORTED, Proofs()),
    "confirmed": (TCC_COMMITTED, Proofs(witnesses={ONE: "W"}, barriers={TWO: CONFIRMED})),
    "cancelled": (TCC_UNDONE, Proofs(barriers={TWO: CANCELLED})),
    "cancelled before it was tried": (TCC_UNDONE, Proofs(barriers={TWO: {"try": "cancel"}})),
    "last agent, committed with the decision": (
        transaction(
            "committed",
            branch(1),
            branch(2, form="last", finished_at=START - timedelta(microseconds=30)),
        ),
        BOTH,
    ),
    "steps done, one of them behind the pivot": (
        transaction("committed", STEP, branch(2, mode="saga", form="forward", vote=None)),
        Proofs(barriers={ONE: DONE, TWO: DONE}),
    ),
    "a prepared branch behind the pivot": (
        transaction("committed", STEP, branch(2, form="forward", vote=None)),
        Proofs(barriers={ONE: DONE}, witnesses={TWO: "W"}),
    ),
    "one step compensated, the next never asked": (
        STEPS_UNDONE,
        Proofs(barriers={ONE: CANCELLED}),
    ),
    "another branch of the cluster is prepared": (
        COMMITTED,
        replace(BOTH, prepared=frozenset({"cc:bank-key-0:1"})),
    ),
}


@pytest.mark.parametrize("case", SOUND)
def test_an_atomic_transaction_gives_no_finding(case: str):
    assert judge(*SOUND[case]) == ()


Plant = Callable[[], tuple[EndedTransaction, Proofs]]

PLANTED: dict[ViolationKind, Plant] = {
    ViolationKind.HEURISTIC: lambda: (
        transaction(
            "committed",
            branch(1),
            branch(2, actual="heuristic_rollback", reason="somebody rolled it back"),
            heuristic="mixed",
        ),
        Proofs(witnesses={ONE: "W"}),
    ),
    ViolationKind.MISSING_WITNESS: lambda: (COMMITTED, Proofs(witnesses={ONE: "W"})),
    ViolationKind.WITNESS_ON_ABORT: lambda: (ABORTED, Proofs(witnesses={ONE: "W"})),
    ViolationKind.LEFT_PREPARED: lambda: (ABORTED, Proofs(prepared=frozenset({ONE}))),
    ViolationKind.VOTE_MISSING: lambda: (
        transaction("committed", branch(1), branch(2, vote=None)),
        BOTH,
    ),
    ViolationKind.OUTCOME_MISMATCH: lambda: (
        transaction("committed", branch(1), branch(2, actual="aborted")),
        BOTH,
    ),
    ViolationKind.CONFIRM_MISSING: lambda: (
        TCC_COMMITTED,
        Proofs(witnesses={ONE: "W"}, barriers={TWO: {"try": "try"}}),
    ),
    ViolationKind.CANCEL_ON_COMMIT: lambda: (
        TCC_COMMITTED,
        Proofs(witnesses={ONE: "W"}, barriers={TWO: CONFIRMED | CANCELLED}),
    ),
    ViolationKind.CONFIRM_ON_ABORT: lambda: (
        TCC_UNDONE,
        Proofs(barriers={TWO: CANCELLED | CONFIRMED}),
    ),
    ViolationKind.CANCEL_MISSING: lambda: (TCC_UNDONE, Proofs(barriers={TWO: {"try": "try"}})),
    ViolationKind.ACTION_MISSING: lambda: (STEPS_COMMITTED, Proofs(witnesses={TWO: "W"})),
    ViolationKind.COMPENSATION_MISSING: lambda: (
        STEPS_UNDONE,
        Proofs(barriers={ONE: CANCELLED, TWO: DONE}),
    ),
    ViolationKind.DECIDED_AFTER_COMMIT: lambda: (
        transaction(
            "committed", branch(1), branch(2, finished_at=START - timedelta(microseconds=1))
        ),
        BOTH,
    ),
    ViolationKind.OUTCOME_CHANGED: lambda: (
        replace(
            COMMITTED,
            history=History(events=7, first=1, last=7, outcomes=("aborted", "committed")),
        ),
        BOTH,
    ),
    ViolationKind.HISTORY_GAP: lambda: (
        replace(
            COMMITTED,
            history=History(events=6, first=1, last=7, outcomes=("committed", "committed")),
        ),
        BOTH,
    ),
}


def test_every_kind_of_violation_is_planted_here():
    assert set(ViolationKind) == set(PLANTED)


@pytest.mark.parametrize("kind", PLANTED)
def test_each_planted_violation_is_found_and_nothing_else(kind: ViolationKind):
    findings = judge(*PLANTED[kind]())

    assert [kind] == [finding.kind for finding in findings]
    assert findings[0].gid == GID
    assert findings[0].sentence
    assert findings[0].evidence["outcome"] in ("committed", "aborted")


def test_a_finding_carries_the_rows_that_show_it():
    (finding,) = judge(COMMITTED, Proofs(witnesses={ONE: "W", TWO: "A"}))

    assert finding.seq == 2
    assert finding.sentence == (
        "committed, but bank.p2 on bank_a shows a tombstone instead of its witness"
    )
    assert finding.evidence["database"] == "bank_a"
    assert finding.evidence["branch_gid"] == TWO
    assert finding.evidence["witness"] == "A"
    assert finding.evidence["vote"] == "yes"


def test_a_branch_that_cannot_be_seen_is_judged_by_the_rows_alone():
    unseen = transaction("committed", branch(1), branch(2, node="other"))
    wrong = transaction("committed", branch(1), branch(2, node="other", vote="no"))
    proofs = Proofs(witnesses={ONE: "W"})

    assert judge(unseen, proofs, seen=lambda b: b.node == "bank") == ()
    assert [f.kind for f in judge(wrong, proofs, seen=lambda b: b.node == "bank")] == [
        ViolationKind.VOTE_MISSING
    ]


def test_an_end_without_an_outcome_is_found():
    kinds = {f.kind for f in judge(replace(COMMITTED, outcome=None), BOTH)}

    assert ViolationKind.OUTCOME_MISMATCH in kinds
    assert ViolationKind.OUTCOME_CHANGED in kinds
