"""Values a branch mode answers with besides a ballot or a result."""

from dataclasses import dataclass

from coordination.connections.database import UNREACHABLE, StatementRefused


class Busy(Exception):
    """Another attempt at this branch is running: this delivery has nothing to do."""


class InDoubt(Exception):
    """What happened is not known, or the server cannot say now: ask again later."""


NOT_NOW = (Busy, InDoubt, StatementRefused, *UNREACHABLE)
"""Nothing was decided and nothing is lost: whoever asks again gets the answer."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a body ended without a yes, and whether it committed by itself before."""

    reason: str
    committed_by_itself: bool = False
