"""What a store of locks does. Every verb is one atomic step, and safe to repeat with its id."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from coordination.exceptions import CoordinationError
from coordination.locks.bells import Bell
from coordination.locks.types import Answer, Held, LockInfo, Released, Request, Resource


class LockStore(Protocol):
    """Locks of one store alias.

    Every verb raises StoreUnavailable (not applied) or OutcomeUnknown within the store's deadline.
    The queue of a resource is served by the rule of `machine`; whoever it is handed to has to ask
    again within a moment, or the next one has it. Each change leaves an event in the same step.
    """

    alias: str
    deadline_ms: int
    """How long a call may take that names no deadline of its own."""

    def acquire(self, request: Request, *, stay_ms: int, deadline_ms: int | None = None) -> Answer:
        """Take it, or stay in its queue for `stay_ms` unless asking again; 0 does not queue."""

    def release(
        self,
        request: Request,
        *,
        said: Mapping[str, Any] | None = None,
        deadline_ms: int | None = None,
    ) -> Released:
        """Give back what `acquire` took, or the place in the queue; the event tells `said`."""

    def renew(
        self, requests: Sequence[Request], *, deadline_ms: int | None = None
    ) -> list[Held | CoordinationError | None]:
        """Let leases begin anew, in one round trip.

        None for one that is lost, an error for one that the store refuses by itself.
        """

    def force_release(self, resource: Resource, *, actor: str, reason: str) -> list[int]:
        """Take it from whoever holds it; returns their tokens, and every later one is greater."""

    def request_revoke(self, resource: Resource, *, grace_ms: int, actor: str, reason: str) -> int:
        """Ask holders to give it back; after the grace their leases are renewed no more."""

    def info(self, resource: Resource) -> LockInfo:
        """Who holds it, and who waits in order."""

    def contended(self) -> list[LockInfo]:
        """Every resource that somebody waits for."""

    def highest_token(self) -> int:
        """No token this store has given so far is greater."""

    def raise_tokens(self, above: int) -> None:
        """From now on every token this store gives, of any name, is greater than `above`."""

    def bell(self, request: Request) -> AbstractContextManager[Bell]:
        """What rings when this request may have been handed the lock."""
