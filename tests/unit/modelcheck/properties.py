"""What must hold in every state, over every move, and of every end."""

from coordination.transactions.machine import Local
from coordination.transactions.types import Actual, Outcome, Vote
from tests.unit.modelcheck.rules import Rules, rows
from tests.unit.modelcheck.world import CONTINUE, Branch, Kind, State

IN_FAVOUR = (Vote.YES, Vote.READ_ONLY)
AT_WORK = (Local.PREPARED, Local.DONE)


def broken_in(state: State) -> str | None:
    """The first promise a state breaks."""
    if state.told and state.told != state.outcome:
        return f"told {state.told} while the register says {state.outcome or 'nothing'}"
    if not state.outcome and (CONTINUE in state.wishes or state.then == "done"):
        return "continued before the decision"
    fault = _disagreement(state) or _disorder(state)
    if fault is not None:
        return fault
    for index, branch in enumerate(state.branches):
        fault = _broken_by(branch, state.outcome)
        if fault is not None:
            return f"branch {index + 1}: {fault}"
    return None


def _disagreement(state: State) -> str | None:
    if state.outcome == Outcome.COMMITTED:
        voting = (b for b in state.branches if b.kind is not Kind.FORWARD)
        if any(branch.vote not in IN_FAVOUR for branch in voting):
            return "committed without every vote"
        if any(b.vote == Vote.YES and b.local is Local.TOMBSTONE for b in state.branches):
            return "a branch is aborted though the outcome is committed"
        return None
    for branch in state.branches:
        # Alone in one phase, its own commit comes first.
        early = branch.kind is Kind.ONE_PHASE and not state.outcome
        if branch.local is Local.COMMITTED and not early:
            return f"a branch is committed though the outcome is {state.outcome or 'open'}"
    return None


def _disorder(state: State) -> str | None:
    """What a saga may not come to: worked before its time, or undone before what came after it."""
    for index, branch in enumerate(state.branches):
        if branch.after is None:
            return None
        if branch.kind is Kind.PIVOT and branch.local is Local.DONE and _aborted(state):
            return "aborted though the pivot has acted"
        behind = [other for other in state.branches if index + 1 in (other.after or ())]
        # What is left prepared, and found by the orphan sweep, nobody has seen.
        seen = [b for b in behind if b.local in AT_WORK and b.kind is not Kind.XA]
        if branch.undone and seen:
            return f"branch {index + 1} is compensated before what came after it has ended"
        before = [state.branches[seq - 1] for seq in branch.after]
        if branch.local in AT_WORK and branch.kind is Kind.FORWARD:
            if state.outcome != Outcome.COMMITTED or not all(b.actual for b in before):
                return f"branch {index + 1} behind the pivot is done before its time"
        elif branch.local in AT_WORK and any(b.vote not in IN_FAVOUR for b in before):
            return f"branch {index + 1} has worked before all had voted that it comes after"
    return None


def _aborted(state: State) -> bool:
    return state.outcome == Outcome.ABORTED


def _broken_by(branch: Branch, outcome: str) -> str | None:
    if branch.fault:
        return branch.fault
    if branch.actual and Actual(branch.actual).heuristic:
        return f"ended {branch.actual} without anybody's interference"
    durable = (Local.PREPARED, Local.COMMITTED, Local.DONE)
    if branch.vote == Vote.YES and outcome != Outcome.ABORTED and branch.local not in durable:
        return "voted yes without durable work"
    if branch.actual == Actual.ABORTED and branch.local is Local.DONE:
        return "ended as aborted, and its action stands"
    if (branch.local in (Local.COMMITTED, Local.DONE)) != (branch.applied == 1):
        return f"its work was applied {branch.applied} times and is {branch.local}"
    return None


def broken_by(before: State, after: State) -> str | None:
    """The first promise a move breaks. The branches of both are in the same order."""
    if before.outcome and after.outcome != before.outcome:
        return f"the register went from {before.outcome} to {after.outcome or 'nothing'}"
    for index, (old, new) in enumerate(
        zip(rows(before.branches), rows(after.branches), strict=True)
    ):
        for what, was, is_now in zip(("vote", "ending"), old[1:], new[1:], strict=True):
            if was and was != is_now:
                return f"branch {index + 1}: its {what} went from {was} to {is_now or 'nothing'}"
    return None


def ended_well(state: State) -> bool:
    """The end that every transaction must reach."""
    row_ended = bool(state.outcome) and all(branch.actual for branch in state.branches)
    quiet = not any(branch.running for branch in state.branches) and state.caller is None
    clean = all(branch.local is not Local.PREPARED for branch in state.branches)
    return row_ended and quiet and clean and state.then != "due"


def uncoupled(rules: Rules, state: State) -> bool:
    """Whether branches are independent from here: decided, and the register is deaf."""
    return bool(rules.frozen and not rules.ordered and state.outcome and state.caller is None)
