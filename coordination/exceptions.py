"""The one exception tree of Concord.

Every error answers *did it happen?* with ``applied``: ``False`` says the operation was not applied,
``None`` says its outcome is unknown (it may have been applied; ask again with the same op id or
key). Each leaf also subclasses the builtin a Python user would catch.
"""

import queue
import re
from collections.abc import Mapping, Sequence
from typing import ClassVar


class CoordinationError(Exception):
    """A coordination operation failed."""

    applied: bool | None = False
    code: ClassVar[str] = "coordination_error"

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        cls.code = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def __init__(
        self,
        message: str | None = None,
        *,
        name: str | None = None,
        store: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Describe one failure.

        Args:
            message: what a person reads; the class's docstring when left out.
            name: the key of the primitive or the name of the participant concerned.
            store: alias of the store or database concerned.
            reason: why, as the store or the participant put it.
        """
        super().__init__(message if message is not None else (type(self).__doc__ or "").strip())
        self.name = name
        self.store = store
        self.reason = reason


class StoreUnavailable(CoordinationError, ConnectionError):
    """The store could not be reached or refused to serve; nothing was applied."""


class OutcomeUnknown(CoordinationError, TimeoutError):
    """No answer came in time; the operation may or may not have been applied."""

    applied = None


class NotSupportedByStore(CoordinationError, NotImplementedError):
    """This store cannot do what was asked; nothing was sent to it."""


class InvalidName(CoordinationError, ValueError):
    """The name breaks the rules for names."""


class InvalidArgument(CoordinationError, ValueError):
    """An argument breaks its rule."""


class LockTimeout(CoordinationError, TimeoutError):
    """The lock was not granted within the wait."""


class LockLost(CoordinationError, RuntimeError):
    """The lease has ended or was taken away: somebody else may hold the lock."""


class Deadlock(CoordinationError, RuntimeError):
    """Waiting any longer would never end: those who are in the way wait for this one."""

    def __init__(
        self,
        message: str | None = None,
        *,
        name: str | None = None,
        store: str | None = None,
        reason: str | None = None,
        cycle: Sequence[Mapping[str, str]] = (),
    ) -> None:
        """Describe it with the `cycle`: of each wait its context, owner, waits_for, held_by."""
        super().__init__(message, name=name, store=store, reason=reason)
        self.cycle = tuple(cycle)


class NotOwner(CoordinationError, RuntimeError):
    """What was to be renewed or given back is not held by this grant."""


class StaleToken(CoordinationError, RuntimeError):
    """Somebody with a newer token has written: whoever wrote now holds the lock no more."""

    def __init__(
        self,
        message: str | None = None,
        *,
        name: str | None = None,
        store: str | None = None,
        reason: str | None = None,
        token: int | None = None,
        newer: int | None = None,
    ) -> None:
        """Describe it with the `token` that was refused and the `newer` one that had written."""
        super().__init__(message, name=name, store=store, reason=reason)
        self.token = token
        self.newer = newer


class ConflictError(CoordinationError, RuntimeError):
    """What was read has changed since; nothing was written."""


class BoundExceeded(CoordinationError, ValueError):
    """The result would be beyond a bound of the counter; nothing was written."""


class QueueFull(CoordinationError, queue.Full):
    """The queue holds as many messages as it may; nothing was published."""


class QueuePaused(CoordinationError, RuntimeError):
    """An operator has paused publishing to the queue; nothing was published."""


class StaleReceipt(CoordinationError, RuntimeError):
    """The message is not this taker's any more: its lease ended, or it was settled."""

    def __init__(
        self,
        message: str | None = None,
        *,
        name: str | None = None,
        store: str | None = None,
        reason: str | None = None,
        receipts: Sequence[str] = (),
    ) -> None:
        """Describe it with the stale `receipts`; others of the same call were settled."""
        super().__init__(message, name=name, store=store, reason=reason)
        self.receipts = tuple(receipts)


class Unroutable(CoordinationError, LookupError):
    """The broker has no queue for the message; nothing was published."""


class BadSignature(CoordinationError, PermissionError):
    """A message of another service is not signed as it must be; nothing was done."""


class RegisterForgotten(CoordinationError, LookupError):
    """The register's period is over: what it held is forgotten, and nothing can be written."""


class UnknownParticipant(CoordinationError, LookupError):
    """No participant of this name is registered here or routed to a node."""


class TransactionAborted(CoordinationError, RuntimeError):
    """The transaction was aborted; no branch of it keeps any effect."""

    def __init__(
        self,
        message: str | None = None,
        *,
        gid: str | None = None,
        name: str | None = None,
        store: str | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(message, name=name, store=store, reason=reason)
        self.gid = gid
