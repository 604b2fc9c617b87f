"""What a store of locks does. Every verb is one atomic step, and safe to repeat with its id."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from coordination.exceptions import CoordinationError
from coordination.locks.types import Answer, Held, LockInfo, Released, Request


class Wakeups(Protocol):
    """The wake-ups of one waiter; they may be lost, so a waiter also looks again by itself."""

    def wait(self, seconds: float) -> bool:
        """Whether one came within `seconds`; returns early when no more can come."""


class LockStore(Protocol):
    """Locks of one store alias.

    Every verb raises StoreUnavailable (not applied) or OutcomeUnknown within the store's deadline.
    """

    alias: str
    deadline_ms: int
    """How long a call may take that names no deadline of its own."""

    def acquire(self, request: Request, *, stay_ms: int, deadline_ms: int | None = None) -> Answer:
        """Take it, or stay in its queue for `stay_ms` unless asking again; 0 does not queue."""

    def release(self, request: Request, *, deadline_ms: int | None = None) -> Released:
        """Give back what `acquire` took, or the place in the queue."""

    def renew(
        self, requests: Sequence[Request], *, deadline_ms: int | None = None
    ) -> list[Held | CoordinationError | None]:
        """Let leases begin anew, in one round trip.

        None for one that is lost, an error for one that the store refuses by itself.
        """

    def force_release(self, name: str, *, actor: str, reason: str) -> list[int]:
        """Take it from whoever holds it; returns their tokens, and every later one is greater."""

    def request_revoke(self, name: str, *, grace_ms: int, actor: str, reason: str) -> int:
        """Ask holders to give it back; after the grace their leases are renewed no more."""

    def info(self, name: str) -> LockInfo:
        """Who holds it, and who waits in order."""

    def wakeups(self, request: Request) -> AbstractContextManager[Wakeups]:
        """Listen for the hand-over to this request."""
