"""A name that is had by a lease: what locks and semaphores have in common."""

import asyncio
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from coordination import registry
from coordination.exceptions import CoordinationError, InvalidArgument, LockTimeout, NotOwner
from coordination.locks import asynchronous, waiting
from coordination.locks.asking import request_for
from coordination.locks.grant import Grant
from coordination.locks.leaving import give_back, leave
from coordination.locks.options import DEFAULT, Options, seconds
from coordination.locks.renewal import process_renewals
from coordination.locks.stores import lock_store
from coordination.locks.taken import Taken
from coordination.locks.types import LockInfo, Request, Resource
from coordination.threads import refuse_in_event_loop


class Leased:
    """Somebody who may have it at most once; several objects contend for it."""

    def __init__(self, resource: Resource, options: Options) -> None:
        self.resource = resource
        self.store = registry.route(resource.kind, resource.name, using=options.using)
        self.grant: Grant | None = None
        """What it has, if it has it."""
        self._options = options
        self._locks = lock_store(self.store)
        self._asking = threading.Lock()

    @property
    def name(self) -> str:
        return self.resource.name

    def acquire(self, wait: Any = DEFAULT) -> Grant | None:
        """Have it, or None when it is still busy after `wait` seconds.

        None waits for ever, 0 not at all; by default it is what the object was made with.

        Raises InvalidArgument when this object has it already, StoreUnavailable or OutcomeUnknown
        from the store; what was granted all the same ends with its lease.
        """
        return self._acquire(seconds(wait, default=self._options.wait_s))

    def _acquire(
        self, wait_s: float | None, *, given_up: Callable[[], bool] = waiting.never
    ) -> Grant | None:
        refuse_in_event_loop("acquire", "aacquire")
        self._begin()
        try:
            asked_at = time.monotonic()
            request = request_for(self.resource, self._options)
            renewed = self._options.renew
            taken = waiting.take(
                self._locks, request, wait_s=wait_s, given_up=given_up, renewed=renewed
            )
            self.grant = self._granted(request, taken, asked_at=asked_at)
            return self.grant
        finally:
            self._asking.release()

    async def aacquire(self, wait: Any = DEFAULT) -> Grant | None:
        """As `acquire`."""
        wait_s = seconds(wait, default=self._options.wait_s)
        self._begin()
        try:
            asked_at = time.monotonic()
            request = request_for(self.resource, self._options)
            taken = await asynchronous.take(self._locks, request, wait_s=wait_s)
            self.grant = self._granted(request, taken, asked_at=asked_at)
            return self.grant
        finally:
            self._asking.release()

    def renew(self) -> None:
        """Let the lease begin anew. Raises as `Grant.renew`; NotOwner when nothing is held."""
        self._held().renew()

    async def arenew(self) -> None:
        """As `renew`."""
        await self._held().arenew()

    def release(self) -> None:
        """Give it back. Raises as `Grant.release`; NotOwner when nothing is held."""
        grant = self._held()
        grant.release()
        self._drop(grant)

    async def arelease(self) -> None:
        """As `release`."""
        grant = self._held()
        await grant.arelease()
        self._drop(grant)

    def ensure_held(self) -> None:
        """Raise LockLost unless this process may still rely on it. Asks nobody."""
        self._held().ensure_held()

    def info(self) -> LockInfo:
        """Who holds it, and who waits in order."""
        return self._locks.info(self.resource)

    def __enter__(self) -> Grant:
        return self._entered(self.acquire())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        grant, self.grant = self.grant, None
        if grant is None:
            return  # given back inside the block
        try:
            leave(grant)
        except CoordinationError:
            # What the body raised tells more than a lock that could not be given back.
            if kind is None:
                raise

    async def __aenter__(self) -> Grant:
        return self._entered(await self.aacquire())

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        grant, self.grant = self.grant, None
        if grant is None:
            return
        leaving = asynchronous.in_thread(lambda: give_back(grant), store=self._locks)
        try:
            # A task that is cancelled here gives it back all the same.
            await asyncio.shield(leaving)
        except CoordinationError:
            if kind is None:
                raise

    def _begin(self) -> None:
        """Refuse to ask for it twice at once, or while it is held."""
        if not self._asking.acquire(blocking=False):
            raise self._in_use("asked for")
        if (held := self.grant) is not None and held.lost is None and not held.given_back:
            self._asking.release()
            raise self._in_use("held")

    def _granted(self, request: Request, taken: Taken | None, *, asked_at: float) -> Grant | None:
        if taken is None:
            return None
        grant = Grant(
            request,
            taken,
            store=self._locks,
            waited=time.monotonic() - asked_at,
            max_hold_ms=self._options.max_hold_ms,
            renewals=process_renewals if self._options.renew else None,
        )
        if self._options.renew:
            try:
                process_renewals.watch(grant)
            except BaseException:  # no thread can be started: nobody would renew it
                waiting.give_up(self._locks, request)
                raise
        return grant

    def _entered(self, grant: Grant | None) -> Grant:
        if grant is None:
            waited_s = self._options.wait_s or 0
            raise LockTimeout(
                f"{self.resource} was still busy after {waited_s:g} s.",
                name=self.name,
                store=self.store,
            )
        return grant

    def _drop(self, grant: Grant) -> None:
        if self.grant is grant:
            self.grant = None

    def _in_use(self, how: str) -> InvalidArgument:
        return InvalidArgument(
            f"{self.resource} is {how} by this object already: locks are not reentrant, and "
            "each thread needs an object of its own.",
            name=self.name,
        )

    def _held(self) -> Grant:
        if self.grant is None:
            raise NotOwner(f"{self.resource} is not held by this object.", name=self.name)
        return self.grant

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} on {self.store}>"
