"""What has to be done behind a call: again and again until it is done, in one thread a store."""

import logging
import threading
import time
from collections.abc import Callable

from coordination.exceptions import CoordinationError

logger = logging.getLogger(__name__)

AGAIN_S = 0.5
"""How soon something is tried again that failed."""
IDLE_S = 5.0
"""How long the thread outlives its last chore."""

Chore = Callable[[], float | None]
"""Does it; returns None when it is done, or in how many seconds it wants to be called again."""


class Chores:
    """Chores by key, and when they are due. A chore of a key that is there already is the same."""

    def __init__(self) -> None:
        self.start_afresh()

    def start_afresh(self) -> None:
        """Forget all, also the thread: in a forked child there is none."""
        # As in `Watch`: a condition that a signal interrupts stays locked.
        self._mutex = threading.Lock()
        self._changed = threading.Condition(self._mutex)
        self._due: dict[object, tuple[float, Chore]] = {}
        self._thread: threading.Thread | None = None

    def clear(self) -> None:
        """Forget what was to be done."""
        with self._mutex:
            self._due.clear()

    def soon(self, key: object, chore: Chore, *, delay_s: float = 0.0) -> None:
        """Do it in a while, unless it is to be done already."""
        with self._mutex:
            if key in self._due:
                return
            self._due[key] = (time.monotonic() + delay_s, chore)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="concord-chores", daemon=True)
                thread.start()
                self._thread = thread
            self._changed.notify()

    def _run(self) -> None:
        while (chore := self._next()) is not None:
            self._do(*chore)

    def _next(self) -> tuple[object, Chore] | None:
        """What is due now; None when there has been nothing for a while."""
        with self._mutex:
            while True:
                now = time.monotonic()
                key = min(self._due, key=lambda each: self._due[each][0], default=None)
                if key is not None and self._due[key][0] <= now:
                    return key, self._due.pop(key)[1]
                left_s = IDLE_S if key is None else self._due[key][0] - now
                if not self._changed.wait(left_s) and not self._due:
                    self._thread = None
                    return None

    def _do(self, key: object, chore: Chore) -> None:
        try:
            again_s = chore()
        except CoordinationError as error:
            logger.info("%s: tried again soon: %s", key, error)
            again_s = AGAIN_S
        except Exception:
            logger.exception("%s was given up.", key)
            return
        if again_s is not None:
            self.soon(key, chore, delay_s=again_s)
