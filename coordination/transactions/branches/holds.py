"""What the state of a hold means for the branch that it is kept for; see `kernel.holds`.

For participants whose store is no database that prepares: `reserve` makes a hold there, `confirm`
uses it up, `cancel` lets it go. Each may be repeated, and come late.
"""

from coordination.kernel.holds import HoldState
from coordination.transactions.branches.answer import EndedOtherwise
from coordination.transactions.context import Context
from coordination.transactions.types import Actual


def remaining_ms(ctx: Context) -> int:
    """Until the transaction's deadline; 0 when it has passed, also by a pause of this process."""
    remaining_s = ctx.remaining
    return 0 if remaining_s is None else int(remaining_s * 1000)


def require_held(ctx: Context, state: HoldState) -> None:
    """Vote no unless there is room for the commit."""
    if state is HoldState.LATE:
        ctx.vote_no("the deadline had passed before room was held for it")
    if state is not HoldState.HELD:
        ctx.vote_no(f"its hold is {state} already")


def require_applied(state: HoldState, *, what: str) -> None:
    """Raise EndedOtherwise when the store cannot do what the decision says."""
    if state is not HoldState.APPLIED:
        raise EndedOtherwise(
            Actual.HEURISTIC_ROLLBACK, f"{what} holds nothing for it: the hold is {state}"
        )


def require_cancelled(state: HoldState, *, what: str) -> None:
    """Raise EndedOtherwise when the store has done it though the decision says not to."""
    if state is not HoldState.CANCELLED:
        raise EndedOtherwise(
            Actual.HEURISTIC_COMMIT, f"{what} has done it already: the hold is {state}"
        )
