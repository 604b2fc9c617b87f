"""What must hold of a transaction in every state, and at its end."""

from collections.abc import Mapping, Sequence

from coordination.transactions.machine import Local
from coordination.transactions.types import Actual, Outcome, Vote
from coordination.verification.simulation.engine.book import Facts
from coordination.verification.simulation.engine.branch import Branch
from coordination.verification.simulation.engine.broker import CONTINUATION

IN_FAVOUR = (Vote.YES, Vote.READ_ONLY)
DURABLE = (Local.PREPARED, Local.COMMITTED)


def broken_in(facts: Facts | None, branches: Sequence[Branch]) -> str | None:
    """The first promise that a state breaks; `facts` None: there are no rows yet."""
    outcome = None if facts is None else facts.outcome
    if facts is not None and outcome is Outcome.COMMITTED:
        if any(vote not in IN_FAVOUR for vote in facts.votes):
            return "committed without every vote"
    else:
        for branch in branches:
            early = branch.alone and outcome is None
            if branch.local is Local.COMMITTED and not early and not branch.foreign:
                return f"{branch.where} is committed though the outcome is {outcome or 'open'}"
    for branch in branches:
        fault = branch.fault or _broken_by(branch, facts)
        if fault is not None:
            return f"{branch.where}: {fault}"
    return None


def _broken_by(branch: Branch, facts: Facts | None) -> str | None:
    if (branch.local is Local.COMMITTED) != (branch.applied == 1):
        return f"its work was applied {branch.applied} times and is {branch.local}"
    if facts is None:
        return "it is prepared before the rows are durable" if branch.local in DURABLE else None
    vote, actual = facts.votes[branch.seq - 1], facts.actuals[branch.seq - 1]
    if branch.foreign:
        return None
    if actual is not None and actual.heuristic:
        return f"ended {actual} without anybody's interference"
    if vote is Vote.YES and facts.outcome is not Outcome.ABORTED and branch.local not in DURABLE:
        return "voted yes without durable work"
    if actual is Actual.COMMITTED and branch.local is not Local.COMMITTED:
        return f"it is recorded as committed, and is {branch.local}"
    return None


def unkept_at_the_end(
    facts: Facts, branches: Sequence[Branch], started: Mapping[int, int], *, continues: bool
) -> str | None:
    """What is wrong with an end that looks well: money, heuristics that are not on record, or
    what was to be started after it (`started`, by seq, as often as it was)."""
    foreign = [branch for branch in branches if branch.foreign]
    for branch in foreign:
        actual = facts.actuals[branch.seq - 1]
        committed = branch.local is Local.COMMITTED
        differs = committed != (facts.outcome is Outcome.COMMITTED)
        # What one attempt prepared beside the no of another is not the branch's end.
        orphan = branch.foreign_orphan or facts.votes[branch.seq - 1] is Vote.NO
        if differs and not orphan and (actual is None or not actual.heuristic):
            return f"{branch.where} was ended by hand against the outcome, and it is not on record"
    moved = sum(branch.amount * branch.applied for branch in branches)
    if moved and not foreign:
        return f"the books are out by {moved}"
    if continues and not started.get(CONTINUATION):
        return "the continuation was not started"
    for branch in branches:
        committed = branch.local is Local.COMMITTED
        if branch.signed and not branch.foreign and committed != (started.get(branch.seq, 0) > 0):
            return f"{branch.where} is {branch.local}, and what it left was " + (
                "not started" if committed else "started"
            )
    return None
