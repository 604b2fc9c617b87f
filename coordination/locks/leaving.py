"""Giving a lock back when the database transactions that were open around it have ended.

Others must see the work before they have the lock, so it goes with the last commit. Django tells of
a commit, and of a rollback only by dropping what was to run after the commit.
"""

import logging
import threading
import weakref

from django.db import connections, transaction

from coordination.exceptions import CoordinationError, LockLost, NotOwner
from coordination.locks.grant import Grant
from coordination.locks.renewal import process_renewals

logger = logging.getLogger(__name__)


def leave(grant: Grant) -> None:
    """Give it back, now or after the transactions that are open in this thread.

    Raises LockLost when it was lost meanwhile; once that is known only after a commit, it is logged
    and stands in `grant.lost`.
    """
    # Those that are in use alone: the driver of another may not even be installed.
    used = connections.all(initialized_only=True)
    if open_blocks := [connection.alias for connection in used if connection.in_atomic_block]:
        _Leaving(grant, open_blocks)
    else:
        give_back(grant)


def give_back(grant: Grant) -> None:
    """Give it back. Raises LockLost when it was lost, StoreUnavailable or OutcomeUnknown."""
    reason = grant.lost
    try:
        grant.release()
    except NotOwner as error:
        reason = reason or str(error)
    except CoordinationError:
        if reason is None:
            raise
    if reason is not None:
        raise LockLost(
            f"{grant.resource} was lost before its block ended: {reason}.",
            name=grant.name,
            store=grant.store,
            reason=reason,
        )


class _Leaving:
    """One grant, and the aliases whose transactions have yet to end."""

    def __init__(self, grant: Grant, aliases: list[str]) -> None:
        self._grant = grant
        # Reentrant: garbage is collected anywhere, in the middle of `_ended` too.
        self._mutex = threading.RLock()
        self._open = set(aliases)
        for alias in aliases:
            hook = _Hook(self, alias)
            transaction.on_commit(hook, using=alias, robust=True)
            # The only other reference to the hook is Django's; this one holds on to the grant.
            weakref.finalize(hook, self._dropped, alias).atexit = False

    def committed(self, alias: str) -> None:
        """Its work is visible; give the lock back with the last of them."""
        if self._ended(alias):
            try:
                give_back(self._grant)
            except CoordinationError as error:
                # Too late to undo anything, and the hooks behind this one have to run.
                logger.warning("%r after the commit: %s", self._grant, error)

    def _dropped(self, alias: str) -> None:
        # Wherever this runs, it is no place to wait for a server.
        if self._ended(alias):
            process_renewals.give_back(self._grant)

    def _ended(self, alias: str) -> bool:
        """Whether this was news, and the last of them."""
        with self._mutex:
            news = alias in self._open
            self._open.discard(alias)
            return news and not self._open


class _Hook:
    """What Django runs after the commit of one alias."""

    def __init__(self, leaving: _Leaving, alias: str) -> None:
        self._leaving = leaving
        self._alias = alias

    def __call__(self) -> None:
        self._leaving.committed(self._alias)
