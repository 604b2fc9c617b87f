"""One connection a process hears for all its waiters that a lock in Redis was handed to them.

The script that hands a lock over publishes the id of the request on its process's channel. A
message may be lost, so everybody is woken whenever the connection begins anew.
"""

import logging
import os
import secrets
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from coordination.connections.redis import RedisStore
from coordination.exceptions import CoordinationError
from coordination.identity import identity
from coordination.locks.bells import Bell, Bells

logger = logging.getLogger(__name__)

IDLE_S = 10.0
"""How long it listens after the last waiter left."""
LOOK_S = 1.0
AGAIN_S = 0.5
"""How long after a failure it tries to connect again."""


class RedisBells:
    """The waiters of this process for the locks of one Redis."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._start_afresh()
        _all.add(self)

    def _start_afresh(self) -> None:
        self._bells = Bells()
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None
        self.channel = f"concord:bell:{identity()}:{secrets.token_hex(4)}"
        """What the scripts publish on. A channel is not a key."""

    @contextmanager
    def hung(self, id_: str) -> Iterator[Bell]:
        """The bell of one request; it rings at once unless somebody listened all the time."""
        with self._bells.hung(id_) as bell:
            with self._mutex:
                if self._thread is None:
                    # Its first act, once it hears, is to ring everybody.
                    self._thread = threading.Thread(
                        target=self._listen, name="concord-bells", daemon=True
                    )
                    self._thread.start()
            yield bell

    def _listen(self) -> None:
        while True:
            try:
                with self._store.subscribed(self.channel) as heard:
                    self._bells.ring_all()
                    idle_since = time.monotonic()
                    while not heard.cut:
                        if (message := heard.message(LOOK_S)) is not None:
                            self._bells.ring(message.decode())
                        elif self._bells:
                            idle_since = time.monotonic()
                        elif time.monotonic() - idle_since > IDLE_S and self._leave():
                            return
            except CoordinationError:
                pass  # whoever waits looks for himself, and is told what is wrong
            except Exception:
                logger.exception("the thread that listens to Redis goes on")
            self._bells.ring_all()
            threading.Event().wait(AGAIN_S)
            if not self._bells and self._leave():
                return

    def _leave(self) -> bool:
        """End the thread, unless somebody came just now."""
        with self._mutex:
            if self._bells:
                return False
            self._thread = None
            return True


_all: "weakref.WeakSet[RedisBells]" = weakref.WeakSet()


def _start_all_afresh() -> None:
    for each in list(_all):
        each._start_afresh()


os.register_at_fork(after_in_child=_start_all_afresh)
