"""Pure judgement of an ended transaction against what every database says. No Django, no clock.

A branch whose end is recorded as heuristic breaks atomicity: it gives one finding, `heuristic`,
with what was found there, and no other. Branches whose database cannot be seen from here are left
out by the caller's `seen` and must be counted as such.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from coordination.kernel.gids import Electorate, branch_gid
from coordination.transactions.types import Actual, Form, Mode, Outcome, Vote


class ViolationKind(StrEnum):
    """Which rule of atomicity is broken."""

    HEURISTIC = "heuristic"
    """A branch ended against the outcome, or nobody can tell, and it is recorded so."""
    MISSING_WITNESS = "missing_witness"
    """Committed, but the branch's database does not show its work."""
    WITNESS_ON_ABORT = "witness_on_abort"
    """Aborted, but the branch's database shows its work."""
    LEFT_PREPARED = "left_prepared"
    """Ended, but the branch is still prepared and holds its locks."""
    VOTE_MISSING = "vote_missing"
    """Committed without a yes of every branch."""
    OUTCOME_MISMATCH = "outcome_mismatch"
    """A branch is recorded to have ended otherwise than the outcome, or not at all."""
    CONFIRM_MISSING = "confirm_missing"
    """Committed, but a TCC branch was not confirmed after its try."""
    CANCEL_ON_COMMIT = "cancel_on_commit"
    """Committed, but a TCC branch was cancelled, or a step compensated."""
    CONFIRM_ON_ABORT = "confirm_on_abort"
    """Aborted, but a TCC branch was confirmed."""
    CANCEL_MISSING = "cancel_missing"
    """Aborted, but the try of a TCC branch was not cancelled."""
    ACTION_MISSING = "action_missing"
    """Committed, but the action of a saga's step is not there."""
    COMPENSATION_MISSING = "compensation_missing"
    """Aborted, but the action of a saga's step stands."""
    DECIDED_AFTER_COMMIT = "decided_after_commit"
    """A branch committed before the outcome was decided."""
    OUTCOME_CHANGED = "outcome_changed"
    """The recorded events name another outcome than the transaction, or several, or none."""
    HISTORY_GAP = "history_gap"
    """Versions are missing from the transaction's events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedBranch:
    """A branch as the coordinator's table has it."""

    seq: int
    participant: str
    node: str
    using: str
    mode: str
    form: str
    vote: str | None
    actual: str | None
    reason: str
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The events of a transaction, summed up."""

    events: int
    first: int
    last: int
    outcomes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedTransaction:
    """A transaction as the coordinator's tables have it. `history` None: it was not read."""

    gid: str
    outcome: str | None
    heuristic: str
    version: int
    decided_at: datetime | None
    ended_age_s: float
    branches: tuple[EndedBranch, ...]
    history: History | None = None
    electorate: Electorate | None = None

    def branch_gid(self, seq: int) -> str:
        return branch_gid(self.gid, seq, self.electorate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proofs:
    """What the participants' databases say, by branch gid."""

    witnesses: Mapping[str, str] = field(default_factory=dict)
    """Kind of the witness row: `W` or `A`."""
    barriers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Reason of the barrier row by op: try, confirm, cancel."""
    prepared: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One broken rule and the rows that show it. `seq` 0 is the transaction itself."""

    gid: str
    seq: int
    kind: ViolationKind
    sentence: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One branch with its transaction and its own proofs."""

    transaction: EndedTransaction
    branch: EndedBranch
    gid: str
    witness: str | None
    barrier: Mapping[str, str]
    prepared: bool

    @property
    def worked(self) -> bool:
        """Whether, after a commit, its work has to be there."""
        behind = self.branch.form == Form.FORWARD and self.branch.actual == Actual.COMMITTED
        return self.branch.vote == Vote.YES or behind

    @property
    def where(self) -> str:
        return f"{self.branch.participant} on {self.branch.using}"


_Verdict = tuple[ViolationKind, str]


def judge(
    transaction: EndedTransaction,
    proofs: Proofs,
    *,
    seen: Callable[[EndedBranch], bool] = lambda _branch: True,
) -> tuple[Finding, ...]:
    """Every rule that an ended transaction breaks; none: it was atomic, as far as can be seen.

    Args:
        transaction: the coordinator's rows.
        proofs: what the databases of its branches say.
        seen: whether `proofs` covers the database of a branch.
    """
    findings = list(_judge_history(transaction))
    for branch in transaction.branches:
        case = _case(transaction, branch, proofs)
        verdicts = list(_judge_rows(case))
        heuristic = any(kind is ViolationKind.HEURISTIC for kind, _ in verdicts)
        if seen(branch) and not heuristic:
            verdicts += _judge_proofs(case)
        findings += [_finding(case, kind, sentence) for kind, sentence in verdicts]
    return tuple(findings)


def _case(transaction: EndedTransaction, branch: EndedBranch, proofs: Proofs) -> _Case:
    gid = transaction.branch_gid(branch.seq)
    return _Case(
        transaction=transaction,
        branch=branch,
        gid=gid,
        witness=proofs.witnesses.get(gid),
        barrier=proofs.barriers.get(gid, {}),
        prepared=gid in proofs.prepared,
    )


def _finding(case: _Case, kind: ViolationKind, sentence: str) -> Finding:
    branch, transaction = case.branch, case.transaction
    evidence = {
        "database": branch.using,
        "branch_gid": case.gid,
        "participant": branch.participant,
        "mode": branch.mode,
        "form": branch.form,
        "outcome": transaction.outcome,
        "decided_at": _iso(transaction.decided_at),
        "vote": branch.vote,
        "actual": branch.actual,
        "reason": branch.reason,
        "finished_at": _iso(branch.finished_at),
        "witness": case.witness,
        "barrier": dict(case.barrier),
        "prepared": case.prepared,
    }
    return Finding(
        gid=transaction.gid, seq=branch.seq, kind=kind, sentence=sentence, evidence=evidence
    )


def _judge_history(transaction: EndedTransaction) -> Iterator[Finding]:
    history = transaction.history
    if history is None:
        return
    verdicts: list[_Verdict] = []
    gapless = history.first == 1 and history.last == history.events
    if not gapless or history.last < transaction.version:
        sentence = (
            f"its events are {history.events} of version {history.first} to {history.last}, "
            f"the transaction is at {transaction.version}"
        )
        verdicts.append((ViolationKind.HISTORY_GAP, sentence))
    if set(history.outcomes) != {transaction.outcome}:
        told = " and ".join(sorted(set(history.outcomes))) or "no outcome"
        sentence = f"its events say {told}, the transaction says {transaction.outcome}"
        verdicts.append((ViolationKind.OUTCOME_CHANGED, sentence))
    for kind, sentence in verdicts:
        evidence = {
            "outcome": transaction.outcome,
            "version": transaction.version,
            "events": history.events,
            "first_version": history.first,
            "last_version": history.last,
            "outcomes_in_events": list(history.outcomes),
        }
        yield Finding(gid=transaction.gid, seq=0, kind=kind, sentence=sentence, evidence=evidence)


def _judge_rows(case: _Case) -> Iterator[_Verdict]:
    """Rules that the coordinator's own rows must keep."""
    branch, outcome = case.branch, case.transaction.outcome
    committed = outcome == Outcome.COMMITTED
    if branch.actual is not None and Actual(branch.actual).heuristic:
        yield ViolationKind.HEURISTIC, f"{case.where} ended as {branch.actual}, outcome {outcome}"
        return
    behind = branch.form == Form.FORWARD  # it has no vote
    if committed and not behind and branch.vote not in (Vote.YES, Vote.READ_ONLY):
        yield (
            ViolationKind.VOTE_MISSING,
            f"committed though {case.where} voted {branch.vote or 'nothing'}",
        )
    if branch.actual not in _allowed(outcome):
        yield (
            ViolationKind.OUTCOME_MISMATCH,
            f"{case.where} is recorded as {branch.actual or 'unfinished'}, outcome {outcome}",
        )
    if committed and branch.actual == Actual.COMMITTED and _committed_early(case):
        yield (
            ViolationKind.DECIDED_AFTER_COMMIT,
            f"{case.where} committed at {_iso(branch.finished_at)}, before it was decided",
        )


def _allowed(outcome: str | None) -> tuple[Actual, ...]:
    if outcome is None:
        return ()
    return (Actual.READ_ONLY, Actual(outcome))


def _committed_early(case: _Case) -> bool:
    if case.branch.form not in (Form.PREPARE, Form.FORWARD):
        return False  # Its commit is the decision; the register follows it.
    decided_at, finished_at = case.transaction.decided_at, case.branch.finished_at
    return decided_at is None or finished_at is None or finished_at < decided_at


def _judge_proofs(case: _Case) -> Iterator[_Verdict]:
    """Rules that the branch's own database must keep."""
    if case.prepared:
        yield ViolationKind.LEFT_PREPARED, f"{case.where} is still prepared after the end"
    committed = case.transaction.outcome == Outcome.COMMITTED
    if case.branch.mode == Mode.SAGA:
        yield from _judge_step(case, committed=committed)
    elif case.branch.mode == Mode.TCC:
        yield from _judge_confirmed(case) if committed else _judge_cancelled(case)
    elif committed and case.worked and case.witness != "W":
        found = "a tombstone" if case.witness == "A" else "nothing"
        yield (
            ViolationKind.MISSING_WITNESS,
            f"committed, but {case.where} shows {found} instead of its witness",
        )
    elif not committed and case.witness == "W":
        yield (
            ViolationKind.WITNESS_ON_ABORT,
            f"not committed, but {case.where} shows the witness of its work",
        )


def _judge_confirmed(case: _Case) -> Iterator[_Verdict]:
    tried = case.barrier.get("try") == "try"
    if case.worked and not (tried and "confirm" in case.barrier):
        found = ", ".join(sorted(case.barrier)) or "nothing"
        yield (
            ViolationKind.CONFIRM_MISSING,
            f"committed, but {case.where} shows {found} instead of try and confirm",
        )
    if "cancel" in case.barrier:
        yield ViolationKind.CANCEL_ON_COMMIT, f"committed, but {case.where} was cancelled"


def _judge_cancelled(case: _Case) -> Iterator[_Verdict]:
    if "confirm" in case.barrier:
        yield ViolationKind.CONFIRM_ON_ABORT, f"not committed, but {case.where} was confirmed"
    if case.barrier.get("try") == "try" and "cancel" not in case.barrier:
        yield ViolationKind.CANCEL_MISSING, f"aborted, but the try of {case.where} stands"


def _judge_step(case: _Case, *, committed: bool) -> Iterator[_Verdict]:
    acted = case.barrier.get("try") == "try"
    if not committed and acted and "cancel" not in case.barrier:
        yield ViolationKind.COMPENSATION_MISSING, f"aborted, but the action of {case.where} stands"
    if committed and case.worked and not acted:
        yield ViolationKind.ACTION_MISSING, f"committed, but {case.where} shows no action"
    if committed and "cancel" in case.barrier:
        yield ViolationKind.CANCEL_ON_COMMIT, f"committed, but {case.where} was compensated"


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
