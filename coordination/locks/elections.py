"""`election`: one leader at a time, with a term that can be checked."""

import logging
import random
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from coordination.exceptions import (
    CoordinationError,
    Deadlock,
    LockLost,
    OutcomeUnknown,
    StoreUnavailable,
)
from coordination.kernel.backoff import backoff_ms
from coordination.locks.grant import Grant
from coordination.locks.leased import Leased
from coordination.locks.leaving import give_back
from coordination.locks.options import options_of, refuse_unknown, resource_of
from coordination.locks.types import Kind, LockInfo
from coordination.locks.waiting import never
from coordination.threads import refuse_in_event_loop

logger = logging.getLogger(__name__)

KNOWN = ("ttl", "using", "owner", "metadata")

T = TypeVar("T")


class Election(Leased):
    """A candidate for one leadership."""

    def run(
        self,
        work: Callable[[Grant], T],
        *,
        on_elected: Callable[[Grant], None] | None = None,
        on_deposed: Callable[[Grant, str], None] | None = None,
        stop: threading.Event | None = None,
    ) -> T | None:
        """Wait to be elected, do `work(term)`, step down; returns what `work` returned.

        `term` is the grant of this term: its `token` rises with every term, `term.ensure_held()`
        raises LockLost once another may lead. A leader that is deposed while it works stands for
        election again, and `work` begins anew; whatever else `work` raises ends this.

        Args:
            work: what only the leader does.
            on_elected: called with the term before `work`.
            on_deposed: called with the term and the reason as soon as this is known, from another
                thread: the place to tell `work` to stop. It must return soon.
            stop: set it to end the candidacy; None is returned then.

        An unreachable store is waited for.
        """
        refuse_in_event_loop("run", "a thread")
        failures = 0
        while stop is None or not stop.is_set():
            try:
                term = self._stand(stop)
            except (StoreUnavailable, OutcomeUnknown, Deadlock) as error:
                failures += 1
                logger.warning("%s: not standing for now: %s", self.resource, error)
                pause_ms = backoff_ms(failures, base_ms=200, cap_ms=5_000, uniform=random.random())  # noqa: S311
                (stop or threading.Event()).wait(pause_ms / 1000)
                continue
            failures = 0
            if term is not None:
                over, result = self._lead(term, work, on_elected, on_deposed)
                if over:
                    return result
        return None

    def leader(self) -> LockInfo:
        """Who leads, and who stands."""
        return self.info()

    def _stand(self, stop: threading.Event | None) -> Grant | None:
        """Be elected, or None when it is to stop."""
        return self._acquire(None, given_up=stop.is_set if stop is not None else never)

    def _lead(
        self,
        term: Grant,
        work: Callable[[Grant], T],
        on_elected: Callable[[Grant], None] | None,
        on_deposed: Callable[[Grant, str], None] | None,
    ) -> tuple[bool, T | None]:
        """Whether the work is done, and what it returned."""
        if on_deposed is not None:
            term.when_lost(lambda reason: on_deposed(term, reason))
        try:
            if on_elected is not None:
                on_elected(term)
            return True, work(term)
        except LockLost:
            if term.lost is None:
                raise  # of something else
            return False, None
        finally:
            self._step_down(term)

    def _step_down(self, term: Grant) -> None:
        self.grant = None
        try:
            give_back(term)
        except CoordinationError as error:
            logger.warning("%r ends with its lease: %s", term, error)


def election(name: str, **options: Any) -> Election:
    """A candidate for a leadership by name; nothing is sent before `run`.

    Args:
        name: as for `lock`; a lock of the same name is something else.
        **options: ttl (after which a dead leader is replaced), using, owner, metadata as for
            `lock`. A living leader leads until its work is done.

    Raises InvalidName, InvalidArgument, NotSupportedByStore.
    """
    resource = resource_of(Kind.ELECTION, name)
    refuse_unknown(Kind.ELECTION, options, KNOWN)
    chosen = options_of(resource, {**options, "max_hold": None}, known=(*KNOWN, "max_hold"))
    return Election(resource, chosen)
