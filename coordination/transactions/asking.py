"""Which branches are being asked for something, as a record's events tell it. Pure.

The engine's own order, over records: `protocols/` decides, this follows for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coordination.transactions.projection import BranchRecord, Record

IN_FAVOUR = ("yes", "read_only")


def asked(record: Record) -> Record:
    """The record with every branch asked whose turn has come: to vote, or to end as decided."""
    known = {branch.seq: branch for branch in record.branches}
    phase = "prepare" if record.outcome is None else "finish"
    branches = tuple(
        replace(branch, phase=phase, attempts=1)
        if branch.phase is None and branch.actual is None and _due(record, branch, known)
        else branch
        for branch in record.branches
    )
    return replace(record, branches=branches)


def _due(record: Record, branch: BranchRecord, known: Mapping[int, BranchRecord]) -> bool:
    before = [known[seq] for seq in branch.after if seq in known]
    if record.outcome is None:
        if branch.form == "last":
            before = [other for other in known.values() if other is not branch]
        voting = branch.vote is None and branch.form != "forward"
        return voting and all(other.vote in IN_FAVOUR for other in before)
    if record.outcome == "aborted":
        behind = [other for other in known.values() if branch.seq in other.after]
        return all(other.actual is not None for other in behind)
    return branch.form != "forward" or all(other.actual is not None for other in before)
