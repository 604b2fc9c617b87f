"""What an owner has: a lease with its token, trusted only as long as this process can vouch for it.

The store's clock ends the lease; this process stops trusting it earlier, by its own monotonic
clock, counted from before the request that began it was sent.
"""

import logging
import math
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from coordination.exceptions import CoordinationError, LockLost, NotOwner
from coordination.locks import asynchronous
from coordination.locks.store import LockStore
from coordination.locks.taken import Taken
from coordination.locks.types import Held, Released, Request, Resource, moment
from coordination.threads import refuse_in_event_loop

if TYPE_CHECKING:
    from coordination.locks.renewal import Renewals

logger = logging.getLogger(__name__)

DRIFT, DRIFT_S = 0.01, 0.002
"""How much of a lease is not trusted: clocks that run apart, and a margin for the last step."""
SHARE = 3
"""A lease is renewed when a third of it is gone, so two tries may fail."""
CLAIM_S = 0.25
"""How long a release waits for the answer to a claim, which was sent before it."""


class Grant:
    """A lock that is held. Its attributes are what the store said last."""

    def __init__(
        self,
        request: Request,
        taken: Taken,
        *,
        store: LockStore,
        waited: float,
        max_hold_ms: int | None,
        renewals: "Renewals | None",
    ) -> None:
        """Hold what `request` was granted."""
        self.request = request
        self.waited = waited
        """Seconds between asking and having it."""
        self._store = store
        self._renewals = renewals
        self._mutex = threading.Lock()
        self._gone: str | None = None
        self._listeners: list[Callable[[str], None]] = []
        self._told = False
        """Whether the store said so: then there is nothing to give back."""
        self._pid = os.getpid()
        self._given_back = False
        held, sent_at, self._claim = taken
        self._hold_until = math.inf if max_hold_ms is None else sent_at + max_hold_ms / 1000
        self._extend(held, sent_at)
        _grants.add(self)
        if _losses:
            lost_at, reason = _losses.get(store, (-math.inf, ""))
            if sent_at <= lost_at:  # the store was lost between its answer and now
                self.lose(reason)

    @property
    def resource(self) -> Resource:
        return self.request.resource

    @property
    def name(self) -> str:
        return self.request.name

    @property
    def owner(self) -> str:
        return self.request.owner

    @property
    def store(self) -> str:
        """Alias of the store that granted it."""
        return self._store.alias

    @property
    def token(self) -> int:
        """What a resource compares: greater than that of every grant before."""
        return self._held.token

    @property
    def acquired_at(self) -> datetime:
        """By the store's clock, as all its times."""
        return moment(self._held.since_us)

    @property
    def expires_at(self) -> datetime:
        """When its lease ends, unless it is renewed."""
        return moment(self._held.until_us)

    @property
    def revoked_at(self) -> datetime | None:
        """When it will be renewed no more, because somebody asked for it back."""
        revoked_us = self._held.revoked_at_us
        return None if revoked_us is None else moment(revoked_us)

    @property
    def given_back(self) -> bool:
        """Whether it was given back, and the store said so."""
        return self._given_back

    @property
    def lost(self) -> str | None:
        """Why it is no longer held, or None. Asks nobody."""
        if self._gone is None and not self._given_back and time.monotonic() >= self.trusted_until:
            self.hear(patience_s=0)
            if time.monotonic() >= self.trusted_until:
                self.lose("its lease ended before it was renewed")
        return self._gone

    def ensure_held(self) -> None:
        """Raise LockLost unless this process may still rely on it. Asks nobody."""
        if self._given_back:
            raise LockLost(f"{self.resource} was given back.", name=self.name, store=self.store)
        if (reason := self.lost) is not None:
            raise self._lost(reason)

    def renew(self) -> None:
        """Let the lease begin anew.

        Raises LockLost when it is held no more, StoreUnavailable or OutcomeUnknown when the store
        does not say; it may be held then until `expires_at`.
        """
        refuse_in_event_loop("renew", "arenew")
        self._renew()

    def _renew(self) -> None:
        self.ensure_held()
        sent_at = time.monotonic()
        (held,) = self._store.renew([self.request])
        if isinstance(held, CoordinationError):
            raise held
        if held is None:
            self.gone()
            raise self._lost(str(self._gone))
        self.extended(held, sent_at=sent_at)

    def release(self) -> None:
        """Give it back.

        Raises NotOwner when it is not held any more, StoreUnavailable or OutcomeUnknown when the
        store does not say; then it may be called again.
        """
        refuse_in_event_loop("release", "arelease")
        self._release()

    def _release(self) -> None:
        if self._given_back:
            raise self._not_ours("was given back already")
        if self._pid != os.getpid():
            raise self._not_ours("belongs to the process this one was forked from")
        if self._told:
            raise self._not_ours(f"was not held any more: {self._gone}")
        if self._renewals is not None:
            self._renewals.forget(self)
        released = self._store.release(self.request)
        # What is left of a claim is its connection, to be freed.
        self.hear(patience_s=CLAIM_S)
        if released is Released.RELEASED:
            self._given_back = True
            return
        self.gone()
        raise self._not_ours(f"was not held any more: {self._gone}")

    async def arenew(self) -> None:
        """As `renew`."""
        await asynchronous.in_thread(self._renew, store=self._store)

    async def arelease(self) -> None:
        """As `release`."""
        await asynchronous.in_thread(self._release, store=self._store)

    def when_lost(self, call: Callable[[str], None]) -> None:
        """Call it with the reason as soon as this process knows that it is lost; at once if it is.

        In the thread that learns it: it must return soon. Whatever it raises is logged.
        """
        with self._mutex:
            self._listeners.append(call)
            known = self._gone
        if known is not None:
            self._tell([call], known)

    # For the renewals of this process

    def extended(self, held: Held, *, sent_at: float) -> None:
        """Take a new lease as the store gave it."""
        with self._mutex:
            self._extend(held, sent_at)

    def _extend(self, held: Held, sent_at: float) -> None:
        lease_s = (held.until_us - held.now_us) / 1_000_000
        self._held = held
        self.trusted_until = sent_at + lease_s * (1 - DRIFT) - DRIFT_S
        # One that is to be given back gets no longer, however often it is renewed.
        self.lease_s = lease_s if held.revoked_at_us is None else self.request.ttl_ms / 1000
        self.due_at = sent_at + self.lease_s / SHARE

    def hear(self, *, patience_s: float) -> bool:
        """Whether a claim was under way and its answer came within this time: a whole lease."""
        with self._mutex:
            claim = self._claim
            if claim is None:
                return False
            try:
                taken = claim.answer(patience_s=patience_s)
                if taken is not None:
                    self._extend(taken.held, taken.sent_at)
            finally:
                # Last: who sees that there is none looks at the time next, and must see the new.
                self._claim = None
        return taken is not None

    def lose(self, reason: str) -> None:
        """It may not be relied on any more; the first reason stays."""
        with self._mutex:
            if self._gone is not None:
                return
            self._gone = reason
            listeners = list(self._listeners)
        self._tell(listeners, reason)

    def _tell(self, listeners: Iterable[Callable[[str], None]], reason: str) -> None:
        for call in listeners:
            try:
                call(reason)
            except Exception:
                logger.exception("What was to be told of the loss of %r failed.", self)

    def gone(self) -> None:
        """The store said that it is held no more: there is nothing to give back."""
        self._told = True
        self.lose("the store knows it no more")

    @property
    def may_be_renewed(self) -> bool:
        """Whether it is held, and not yet for as long as its owner allowed."""
        return self.lost is None and time.monotonic() < self._hold_until

    def _not_ours(self, why: str) -> NotOwner:
        return NotOwner(f"{self.resource} {why}.", name=self.name, store=self.store)

    def _lost(self, reason: str) -> LockLost:
        return LockLost(
            f"{self.resource} is lost: {reason}.",
            name=self.name,
            store=self.store,
            reason=reason,
        )

    def __repr__(self) -> str:
        return f"<Grant {self.name} token {self.token} on {self.store}>"


_grants: "weakref.WeakSet[Grant]" = weakref.WeakSet()
_losses: "weakref.WeakKeyDictionary[LockStore, tuple[float, str]]" = weakref.WeakKeyDictionary()
"""When, monotonic, and why a store lost all that this process held there."""


def lose_all(store: LockStore, reason: str) -> None:
    """No grant of this store that was asked for so far may be relied on any more."""
    _losses[store] = (time.monotonic(), reason)
    for grant in _all_grants():
        if grant._store is store:
            grant.lose(reason)


def held_here() -> set[str]:
    """The ids of requests that this process holds, as far as it knows."""
    return {each.request.id for each in _all_grants() if each.lost is None and not each.given_back}


def _all_grants() -> "list[Grant]":
    while True:
        try:
            return list(_grants)
        except RuntimeError:  # another thread was granted one meanwhile
            continue


def _belong_to_the_parent() -> None:
    for grant in list(_grants):
        grant._mutex = threading.Lock()
        grant._renewals = grant._claim = None
        grant.lose("it belongs to the process this one was forked from")


os.register_at_fork(after_in_child=_belong_to_the_parent)
