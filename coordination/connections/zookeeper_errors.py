"""What ZooKeeper refuses, as errors of ours."""

from kazoo import exceptions as kazoo

from coordination.exceptions import CoordinationError, StoreUnavailable


class ZooKeeperRefused(CoordinationError):
    """ZooKeeper answered with an error; nothing of the request was applied."""

    def __init__(self, word: str, *, store: str | None = None, index: int = 0) -> None:
        super().__init__(f"ZooKeeper refused: {word}", store=store, reason=word)
        self.word = word
        """ZooKeeper's own word: ``NoNode``, ``NodeExists``, ``BadVersion``, ``NotEmpty``…"""
        self.index = index
        """Which step of a `Commit` was refused, from 0."""


class ReplyLost(StoreUnavailable):
    """The connection ended before the answer to what changes nothing came: ask again."""


NOT_ANSWERED = (
    kazoo.ConnectionLoss,
    kazoo.ConnectionClosedError,
    kazoo.SessionExpiredError,
    kazoo.OperationTimeoutError,
    kazoo.SessionMovedError,
)
"""The connection or the session ended before the answer came."""


def refusal(error: Exception, *, store: str, index: int = 0) -> ZooKeeperRefused:
    """The error of ours for an error reply."""
    return ZooKeeperRefused(type(error).__name__.removesuffix("Error"), store=store, index=index)
