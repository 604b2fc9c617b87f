"""Finds deadlocks of this process's waiters, while somebody waits longer than a moment.

Every process looks at all queues of the stores in use and comes to the same result, so the victim
is told by its own process and nobody has to be reached. What is seen store by store is not one
moment; a cycle counts when two looks, one after the other, show it: those who wait do nothing else,
so all of it was true between the two.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

from coordination.exceptions import CoordinationError
from coordination.identity import identity
from coordination.locks.bells import Bell
from coordination.locks.deadlocks import Deadlocked, deadlocks, waits
from coordination.locks.grant import held_here
from coordination.locks.stores import aliases_in_use, lock_store
from coordination.locks.types import Claimant, LockInfo, Request

logger = logging.getLogger(__name__)

AGE_S = 1.0
"""How old each wait of a cycle has to be."""
LOOK_S = 1.0
DOWN_S = 10.0
"""How long a store that did not answer is left out."""


@dataclass(slots=True, eq=False)
class Watched:
    """One waiter of this process."""

    bell: Bell
    since: float = field(default_factory=time.monotonic)
    deadlocked: Deadlocked | None = None
    """The cycle of which it is the victim."""


class Watch:
    """The waiters of this process."""

    def __init__(self) -> None:
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._pid = os.getpid()
        # Not the condition's own lock: a signal's handler that raises while a condition is entered
        # leaves it locked, and nobody would wait for a lock again.
        self._mutex = threading.Lock()
        self._changed = threading.Condition(self._mutex)
        self._watched: dict[str, Watched] = {}
        self._thread: threading.Thread | None = None
        self._down: dict[str, float] = {}

    @contextmanager
    def over(self, request: Request, bell: Bell) -> Iterator[Watched]:
        """Watch over a request that waits; its bell rings when it is to give way."""
        if self._pid != os.getpid():  # uWSGI forks without Python's hooks
            self._start_afresh()
        watched = Watched(bell)
        with self._mutex:
            self._watched[request.id] = watched
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="concord-deadlocks", daemon=True
                )
                self._thread.start()
        try:
            yield watched
        finally:
            with self._mutex:
                self._watched.pop(request.id, None)

    def _run(self) -> None:
        while self._await_old():
            try:
                self._tell(self._confirmed())
            except Exception:
                logger.exception("Deadlocks were not looked for this time.")

    def _await_old(self) -> bool:
        """Whether somebody waits long enough to be looked at; False ends the thread."""
        idle = 0
        with self._mutex:
            while idle < 5:
                self._changed.wait(LOOK_S)
                oldest = min((each.since for each in self._watched.values()), default=None)
                if oldest is not None and time.monotonic() - oldest >= AGE_S:
                    return True
                idle = 0 if self._watched else idle + 1
            self._thread = None
            return False

    def _confirmed(self) -> list[Deadlocked]:
        first = self._look()
        if not first:
            return []
        before = {each.ids for each in first}
        return [each for each in self._look() if each.ids in before]

    def _look(self) -> list[Deadlocked]:
        seen: list[LockInfo] = []
        for alias in sorted(aliases_in_use()):
            if self._down.get(alias, 0) > time.monotonic():
                continue
            try:
                seen += lock_store(alias).contended()
            except CoordinationError as error:
                self._down[alias] = time.monotonic() + DOWN_S
                logger.debug("Store %r is left out of the search for deadlocks: %s", alias, error)
        return deadlocks(
            waits(map(self._without_remains, seen)), older_than=timedelta(seconds=AGE_S)
        )

    def _without_remains(self, info: LockInfo) -> LockInfo:
        """Without what calls of this process left behind that were given up: it runs out."""
        living = held_here() | self._watched.keys()
        here = tuple(f"{each}:{identity()}:" for each in ("thread", "async"))

        def lives(each: Claimant) -> bool:
            return each.id in living or not each.context.startswith(here)

        return replace(
            info,
            holders=tuple(filter(lives, info.holders)),
            waiters=tuple(filter(lives, info.waiters)),
        )

    def _tell(self, found: list[Deadlocked]) -> None:
        for each in found:
            logger.warning("Deadlock: %s. The youngest gives way.", each.told())
            if (victim := self._watched.get(each.victim.id)) is not None:
                victim.deadlocked = each
                victim.bell.ring()


process_watch = Watch()

os.register_at_fork(after_in_child=process_watch._start_afresh)
