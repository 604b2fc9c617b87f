"""One plain sentence on what a transaction waits for, or how it ended. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from coordination.transactions.types import Protocol

if TYPE_CHECKING:
    from coordination.transactions.projection import BranchRecord, Record

NAMED_BRANCHES_MAX = 2


def sentence(record: Record) -> str:
    """What must happen next and who must do it; once ended, how it ended."""
    if record.ended_at is not None:
        return _ended(record)
    if record.outcome is None:
        return _undecided(record)
    unfinished = [branch for branch in record.branches if branch.actual is None]
    if not unfinished:
        # The end is recorded with the last branch, unless a continuation is still to be sent.
        return "its continuation to be sent"
    # In a saga only those whose turn it is.
    asked = [branch for branch in unfinished if branch.phase == "finish"] or unfinished
    if all(branch.mode == "saga" for branch in asked):
        todo = "be done" if record.outcome == "committed" else "be compensated"
        return f"{_names(asked)} to {todo}{_trouble(asked)}"
    todo = "its commit" if record.outcome == "committed" else "its rollback"
    if len(asked) > 1:
        todo = todo.replace("its", "their")
    return f"{_names(asked)} to confirm {todo}{_trouble(asked)}"


def _undecided(record: Record) -> str:
    refused = [branch for branch in record.branches if branch.vote == "no"]
    if refused:
        return f"the abort to be recorded, {refused[0].participant} voted no"
    asked = [branch for branch in record.branches if branch.phase == "prepare"]
    if asked:
        return f"{_names(asked)} to vote{_trouble(asked)}"
    missing = [b for b in record.branches if b.vote is None and b.form != "forward"]
    if missing:
        return f"{_names(missing)} to be asked to vote"
    if record.protocol == Protocol.THREE_PHASE:
        return "every participant to know of the votes, then its register"
    return "its register to say the outcome"


def _ended(record: Record) -> str:
    astray = [b for b in record.branches if b.actual is not None and b.actual.startswith("heur")]
    if astray:
        return f"ended against its outcome, {record.outcome}: {_astray(astray)}"
    if record.outcome == "committed":
        return _applied(record.branches)
    return _aborted(record)


def _applied(branches: Sequence[BranchRecord]) -> str:
    read_only = sum(branch.actual == "read_only" for branch in branches)
    applied = sum(branch.actual == "committed" for branch in branches)
    total = len(branches) - read_only
    if total == 0:
        return f"nothing to apply, {read_only} read only"
    rest = f", {read_only} read only" if read_only else ""
    return f"{applied} of {total} applied{rest}"


def _aborted(record: Record) -> str:
    for branch in record.branches:
        if branch.vote == "no":
            return f"voted no: {branch.participant}" + (
                f", {branch.reason}" if branch.reason else ""
            )
    if deadline_s := _missed_deadline_s(record):
        return f"deadline {round(deadline_s, 1):g} s passed before every vote"
    return f"aborted: {record.reason}" if record.reason else "aborted"


def _missed_deadline_s(record: Record) -> float:
    """The time the transaction had, if it was decided only after that; else 0."""
    begun_at, deadline_at, decided_at = record.begun_at, record.deadline_at, record.decided_at
    if begun_at is None or deadline_at is None or decided_at is None or decided_at < deadline_at:
        return 0
    return (deadline_at - begun_at).total_seconds()


def _astray(branches: Sequence[BranchRecord]) -> str:
    did = {
        "heuristic_commit": "was committed",
        "heuristic_rollback": "was rolled back",
        "heuristic_hazard": "ended in a way nobody can tell",
    }
    return ", ".join(f"{_name(branch)} {did.get(branch.actual or '', '?')}" for branch in branches)


def _name(branch: BranchRecord) -> str:
    who = branch.participant or f"branch {branch.seq}"
    return f"{who} on {branch.using}" if branch.using else who


def _names(branches: Sequence[BranchRecord]) -> str:
    if len(branches) <= NAMED_BRANCHES_MAX:
        return " and ".join(_name(branch) for branch in branches)
    return f"{_name(branches[0])} and {len(branches) - 1} more"


def _trouble(branches: Sequence[BranchRecord]) -> str:
    worst = max(branches, key=lambda branch: branch.attempts)
    retry = f", retry {worst.attempts - 1}" if worst.attempts > 1 else ""
    error = next((branch.error for branch in branches if branch.error), "")
    return f"{retry} after: {error}" if error else retry
