"""`lock`: what users call to take, keep and give back a lock."""

import secrets
import threading
import time
from functools import cache
from types import TracebackType
from typing import Any

from django.core.signals import setting_changed

from coordination import conf, registry
from coordination.exceptions import (
    CoordinationError,
    InvalidArgument,
    LockTimeout,
    NotOwner,
)
from coordination.identity import identity
from coordination.kernel import durations, names
from coordination.locks import context, waiting
from coordination.locks.grant import Grant
from coordination.locks.leaving import leave
from coordination.locks.options import DEFAULT, Options, options_of, wait_ms, words
from coordination.locks.renewal import process_renewals
from coordination.locks.store import LockStore
from coordination.locks.stores.redis import RedisLocks
from coordination.locks.types import KEPT_MS, LockInfo, Request


class Lock:
    """A lock by name. One object has it at most once; several objects contend for it."""

    def __init__(self, name: str, options: Options) -> None:
        self.name = name
        self.store = registry.route("lock", name, using=options.using)
        self.grant: Grant | None = None
        """What it has, if it has it."""
        self._options = options
        self._locks = lock_store(self.store)
        self._asking = threading.Lock()

    def acquire(self, wait: Any = DEFAULT) -> Grant | None:
        """Have the lock, or None when it is still busy after `wait` seconds.

        None waits for ever, 0 not at all; by default it is what `lock` was called with.

        Raises InvalidArgument when this object has it already, StoreUnavailable or OutcomeUnknown
        from the store; what was granted all the same ends with its lease.
        """
        patience_ms = wait_ms(wait, default=self._options.wait_ms)
        if not self._asking.acquire(blocking=False):
            raise self._in_use("asked for")
        try:
            if self.grant is not None and self.grant.lost is None:
                raise self._in_use("held")
            self.grant = self._acquire(patience_ms)
            return self.grant
        finally:
            self._asking.release()

    def _acquire(self, patience_ms: int | None) -> Grant | None:
        asked_at = time.monotonic()
        request = self._request()
        wait_s = None if patience_ms is None else patience_ms / 1000
        taken = waiting.take(self._locks, request, wait_s=wait_s)
        if taken is None:
            return None
        held, sent_at = taken
        grant = Grant(
            request,
            held,
            store=self._locks,
            sent_at=sent_at,
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

    def renew(self) -> None:
        """Let the lease begin anew. Raises as `Grant.renew`; NotOwner when nothing is held."""
        self._held().renew()

    def release(self) -> None:
        """Give it back. Raises as `Grant.release`; NotOwner when nothing is held."""
        grant = self._held()
        grant.release()
        if self.grant is grant:
            self.grant = None

    def ensure_held(self) -> None:
        """Raise LockLost unless this process may still rely on it. Asks nobody."""
        self._held().ensure_held()

    def info(self) -> LockInfo:
        """Who holds it, and who waits in order."""
        return self._locks.info(self.name)

    def __enter__(self) -> Grant:
        grant = self.acquire()
        if grant is None:
            waited_s = (self._options.wait_ms or 0) / 1000
            raise LockTimeout(
                f"lock {self.name!r} was still busy after {waited_s:g} s.",
                name=self.name,
                store=self.store,
            )
        return grant

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

    def _in_use(self, how: str) -> InvalidArgument:
        return InvalidArgument(
            f"lock {self.name!r} is {how} by this object already: locks are not reentrant, and "
            "each thread needs an object of its own.",
            name=self.name,
        )

    def _held(self) -> Grant:
        if self.grant is None:
            raise NotOwner(f"lock {self.name!r} is not held by this object.", name=self.name)
        return self.grant

    def _request(self) -> Request:
        call = secrets.token_hex(12)
        return Request(
            name=self.name,
            id=call,
            mode=self._options.mode,
            ttl_ms=self._options.ttl_ms,
            owner=self._options.owner or f"{identity()}:{call[:8]}",
            context=context.current(),
            metadata=self._options.metadata,
            kept_ms=KEPT_MS,
        )

    def __repr__(self) -> str:
        return f"<Lock {self.name} on {self.store}>"


class LockFunction:
    """`lock(name, …)`, with the operators' verbs beside it."""

    def __call__(self, name: str, **options: Any) -> Lock:
        r"""A lock by name; nothing is sent before `acquire`.

        Args:
            name: 1 to 200 bytes, without spaces and `{}*?[]\`.
            ttl: seconds of its lease, LOCKS["TTL"] by default.
            wait: seconds to wait for it, LOCKS["WAIT"] by default; None for ever, 0 not at all.
            shared: together with others who ask for it so.
            renew: whether this process renews the lease while it is held.
            max_hold: seconds after which it is renewed no more, LOCKS["MAX_HOLD"] by default.
            using: alias of its store; ROUTES by default.
            owner: a name for who asks; one of its own for each grant by default.
            metadata: JSON to be shown beside the owner.

        Raises InvalidName, InvalidArgument, NotSupportedByStore.
        """
        name = names.validate_name(name, what="lock name")
        return Lock(name, options_of(name, options))

    def force_release(
        self, name: str, *, reason: str, actor: str, using: str | None = None
    ) -> list[int]:
        """Take the lock away from whoever holds it, by an operator's word, which is recorded.

        Returns the tokens it was held by. What it guards must compare tokens: whoever had it does
        not know yet.
        """
        said = {"actor": words(actor, what="actor"), "reason": words(reason, what="reason")}
        return _locks(name, using).force_release(name, **said)

    def request_revoke(
        self,
        name: str,
        *,
        using: str | None = None,
        grace: Any = 10,
        reason: str = "",
        actor: str = "",
    ) -> int:
        """Ask holders to give it back; after `grace` seconds it is renewed no more.

        Returns how many were asked; they see it in `Grant.revoked_at` with their next renewal.
        """
        said = {"actor": actor or identity(), "reason": reason}
        grace_ms = durations.to_ms(grace, what="grace", zero=True)
        return _locks(name, using).request_revoke(name, grace_ms=grace_ms, **said)


lock = LockFunction()


def _locks(name: str, using: str | None) -> LockStore:
    names.validate_name(name, what="lock name")
    return lock_store(registry.route("lock", name, using=using))


@cache
def lock_store(alias: str) -> LockStore:
    """The locks of a store. Raises NotSupportedByStore before anything is sent."""
    return RedisLocks(registry.redis_store(alias), node=conf.current().node)


def _forget(*, setting: str, **_: object) -> None:
    if setting == "COORDINATION":
        lock_store.cache_clear()


setting_changed.connect(_forget, dispatch_uid="coordination.locks")
