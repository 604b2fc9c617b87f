"""Values a branch mode answers with besides a ballot or a result."""

from dataclasses import dataclass

from coordination.connections.database import UNREACHABLE, StatementRefused
from coordination.transactions.types import Actual


class Busy(Exception):
    """Another attempt at this branch is running: this delivery has nothing to do."""


class InDoubt(Exception):
    """What happened is not known, or the server cannot say now: ask again later."""


class Later(Exception):
    """A service gave no answer, or asked for time: to be asked again, not before `retry_ms`."""

    def __init__(self, reason: str, *, retry_ms: int = 0) -> None:
        super().__init__(reason)
        self.retry_ms = retry_ms


class NotYet(Later):
    """A service asked for time."""


class EndedOtherwise(Exception):
    """The store of a branch has it ended against the outcome, or does not know it any more."""

    def __init__(self, actual: Actual, reason: str) -> None:
        super().__init__(reason)
        self.actual = actual


NOT_NOW = (Busy, InDoubt, Later, StatementRefused, *UNREACHABLE)
"""Nothing was decided and nothing is lost: whoever asks again gets the answer."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a body ended without a yes, and whether it committed by itself before."""

    reason: str
    committed_by_itself: bool = False
