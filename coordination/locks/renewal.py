"""Renews the leases of this process: one thread, one round trip a store.

It never ends on an error, and never renews beyond what the owner allowed. A lease that it cannot
renew in time is lost when this process may no longer trust it.
"""

import logging
import os
import threading
import time
from collections.abc import Iterable
from weakref import WeakKeyDictionary

from coordination.exceptions import CoordinationError
from coordination.locks.grant import SHARE, Grant
from coordination.locks.store import LockStore

logger = logging.getLogger(__name__)

RETRY_S_MAX = 1.0
DEADLINE_MS_MIN = 100
IDLE_S = 5.0
"""How long the thread outlives the last lease."""


class Renewals:
    """The grants to be renewed, and when."""

    def __init__(self) -> None:
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._pid = os.getpid()
        # Reentrant: garbage is collected anywhere, and may give a grant back.
        self._mutex = threading.RLock()
        self._changed = threading.Condition(self._mutex)
        # Weak: what nobody can give back any more had better run out.
        self._due: WeakKeyDictionary[Grant, float] = WeakKeyDictionary()
        self._leaving: set[Grant] = set()
        """To be given back by the thread: those who had them are gone."""
        self._thread: threading.Thread | None = None
        self._sleeps_until = 0.0

    def watch(self, grant: Grant) -> None:
        """Renew it from now on."""
        if self._pid != os.getpid():  # uWSGI forks without Python's hooks
            self._start_afresh()
        with self._mutex:
            self._due[grant] = due = grant.due_at
            self._wake(due)

    def give_back(self, grant: Grant) -> None:
        """Let the thread give it back soon; an error is logged, and its lease runs out."""
        with self._mutex:
            self._leaving.add(grant)
            self._due[grant] = due = time.monotonic()
            self._wake(due)

    def forget(self, grant: Grant) -> None:
        """Renew it no more."""
        with self._mutex:
            self._due.pop(grant, None)
            self._leaving.discard(grant)

    def _wake(self, due: float) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="concord-renewals", daemon=True)
            thread.start()
            self._thread = thread
        # Most leases are given back before they are due: it need not hear of every one.
        if due < self._sleeps_until:
            self._sleeps_until = due
            self._changed.notify()

    def _run(self) -> None:
        while self._turn():
            pass

    def _turn(self) -> bool:
        """Wait for leases to become due and renew them; False when there is none to wait for."""
        try:
            due = self._await_due()
            self._renew(due or ())
        except Exception:
            logger.exception("Leases were not renewed this time.")
            return True
        return due is not None

    def _await_due(self) -> list[Grant] | None:
        """The grants whose turn it is; None when there have been none for a while."""
        idle = False
        with self._mutex:
            while True:
                now = time.monotonic()
                due = [grant for grant, at in list(self._due.items()) if at <= now]
                if due:
                    for grant in due:
                        # Should the renewal fail, it is tried again this soon.
                        self._due[grant] = now + min(RETRY_S_MAX, grant.lease_s / (3 * SHARE))
                    return due
                # Woken for a lease that is given back by now, it sleeps as long as it would have
                # for that: else the next one, due after that too, would have to wake it again.
                if now >= self._sleeps_until:
                    self._sleeps_until = min(list(self._due.values()), default=now + IDLE_S)
                    idle = not self._due
                if self._changed.wait(self._sleeps_until - now):
                    idle = False
                elif idle and not self._due:
                    self._thread = None
                    return None

    def _renew(self, due: Iterable[Grant]) -> None:
        by_store: dict[int, tuple[LockStore, list[Grant]]] = {}
        for grant in due:
            if grant in self._leaving:
                self._give_back(grant)
            elif grant.hear(patience_s=0):
                self._postpone(grant)
            elif grant.may_be_renewed:
                by_store.setdefault(id(grant._store), (grant._store, []))[1].append(grant)
            else:
                self.forget(grant)
        for store, grants in by_store.values():
            self._renew_in(store, grants)

    def _renew_in(self, store: LockStore, grants: list[Grant]) -> None:
        sent_at = time.monotonic()
        # A server that does not answer must not hold up the leases on the others for long.
        with self._mutex:
            shortest_s = min(grant.lease_s for grant in [*self._due, *grants])
        share_ms = int(shortest_s * 1000) // (2 * SHARE)
        deadline_ms = min(store.deadline_ms, max(DEADLINE_MS_MIN, share_ms))
        try:
            answers = store.renew([grant.request for grant in grants], deadline_ms=deadline_ms)
        except CoordinationError as error:
            logger.warning("%d leases on %s not renewed yet: %s", len(grants), store.alias, error)
            return
        for grant, held in zip(grants, answers, strict=True):
            if isinstance(held, CoordinationError):
                logger.warning("%r not renewed yet: %s", grant, held)
                continue
            if held is None:
                grant.gone()
                self.forget(grant)
                continue
            grant.extended(held, sent_at=sent_at)
            self._postpone(grant)

    def _postpone(self, grant: Grant) -> None:
        """It was renewed; its turn comes again."""
        with self._mutex:
            if grant in self._due:
                self._due[grant] = grant.due_at

    def _give_back(self, grant: Grant) -> None:
        self.forget(grant)
        try:
            grant.release()
        except CoordinationError as error:
            logger.warning("%r was not given back: %s", grant, error)


process_renewals = Renewals()

os.register_at_fork(after_in_child=process_renewals._start_afresh)
