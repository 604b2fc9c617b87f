"""One thread a process and store that hears what PostgreSQL notifies, while somebody wants it.

A notification may be lost, with the connection or behind a pool that lends connections by
transaction, so whoever waits for one also looks by himself. The thread says when it may have missed
something: when it begins to listen, and when its connection is cut. It notifies itself now and
then, through another connection, so it knows whether anything comes through at all.
"""

import logging
import math
import os
import secrets
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.signals import connection_created

from coordination.connections.database_errors import StatementRefused
from coordination.connections.postgresql_pool import Pool
from coordination.connections.postgresql_wire import Wire, WireLost
from coordination.exceptions import CoordinationError

logger = logging.getLogger(__name__)

CONNECT_S = 5.0
ECHO_S, ECHO_DEADLINE_S = 5.0, 2.0
"""How often it notifies itself, and how long that may take: a connection is cut without a word."""
ECHO = ""
"""What it notifies itself of."""
RETRY_S, RETRY_S_MAX, DEAF_RETRY_S = 0.1, 2.0, 30.0
"""Between two connections; the last where the server answers and no notification comes through."""
LOOK_S = 0.25
"""How soon the thread hears that it is to stop."""
IDLE_S = 5.0
"""How long the thread outlives the last one who wanted it."""


NOTIFY = "SELECT pg_notify($1, $2)"


class Deaf(Exception):
    """The server answers, and no notification comes through: there may be a pool in between."""


class Listener:
    """Hears its own channel, whose name is in no other process."""

    def __init__(
        self,
        pool: Pool,
        *,
        heard: Callable[[str], None],
        missed: Callable[[], None],
        wanted: Callable[[], int],
    ) -> None:
        """Nothing is opened before `start`.

        Args:
            pool: where to connect.
            heard: is called with each payload.
            missed: is called when payloads may have been missed.
            wanted: how many still wait for any.
        """
        self._pool = pool
        self._heard, self._missed, self._wanted = heard, missed, wanted
        self._start_afresh()
        _listeners.add(self)

    def _start_afresh(self) -> None:
        self._pid = os.getpid()
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wire: Wire | None = None
        self.hears = False
        """Whether notifications came through lately."""
        self._stopping = threading.Event()
        self._channel = f"concord_{secrets.token_hex(8)}"

    @property
    def channel(self) -> str:
        """Where to notify this process."""
        if self._pid != os.getpid():
            self.forget()
        return self._channel

    def start(self) -> None:
        """Listen from now on, soon; `missed` is called once it does."""
        if self._pid != os.getpid():
            self.forget()
        with self._mutex:
            if self._thread is None:
                self._stopping.clear()
                thread = threading.Thread(target=self._run, name="concord-listener", daemon=True)
                thread.start()
                self._thread = thread

    def stop(self) -> None:
        """Listen no more, and close the connection; `start` begins again."""
        self._stopping.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(ECHO_S + ECHO_DEADLINE_S)

    def forget(self) -> None:
        """In a forked child: its thread is not here, and its connection is the parent's."""
        if self._wire is not None:
            self._wire.abandon()
        self._start_afresh()

    def _run(self) -> None:
        pause_s = RETRY_S
        while True:
            try:
                self._connect_and_listen()
            except Deaf as error:
                self._cut(error, DEAF_RETRY_S)
            except (WireLost, StatementRefused, CoordinationError) as error:
                pause_s = RETRY_S if self.hears else min(RETRY_S_MAX, pause_s * 2)
                self._cut(error, pause_s)
            except Exception as error:
                logger.exception("the thread that listens to the database goes on")
                self._cut(error, RETRY_S_MAX)
            with self._mutex:
                if self._stopping.is_set() or not self._wanted():
                    self._thread = None
                    self.hears = False
                    return

    def _cut(self, error: Exception, pause_s: float) -> None:
        logger.warning("nothing is heard from the database for %g s: %s", pause_s, error)
        self.hears = False
        self._missed()
        self._stopping.wait(pause_s)

    def _connect_and_listen(self) -> None:
        wire = self._wire = self._pool.open(time.monotonic() + CONNECT_S)
        try:
            command = f"LISTEN {self._channel}".encode()
            wire.run(command, (), time.monotonic() + ECHO_DEADLINE_S)
            self._missed()
            self._listen(wire)
        finally:
            self._wire = None
            wire.close()

    def _listen(self, wire: Wire) -> None:
        """Until nobody has wanted it for a while. Raises WireLost, Deaf, CoordinationError."""
        wanted_at, asked_at, echoed = time.monotonic(), -math.inf, True
        while not self._stopping.is_set():
            now = time.monotonic()
            if self._wanted():
                wanted_at = now
            elif now - wanted_at > IDLE_S:
                return
            if echoed and now - asked_at > ECHO_S:
                asked_at, echoed = now, False
                params = (self._channel, ECHO)
                self._pool.run(NOTIFY, params, deadline_ms=int(ECHO_DEADLINE_S * 1000))
            elif not echoed and now - asked_at > ECHO_DEADLINE_S:
                raise Deaf("a notification to itself did not come through")
            for payload in wire.heard(now + LOOK_S):
                if payload == ECHO:
                    self.hears = echoed = True
                else:
                    self._heard(payload)


_listeners: "weakref.WeakSet[Listener]" = weakref.WeakSet()


def _forget_all() -> None:
    for listener in list(_listeners):
        listener.forget()


def stop_all() -> None:
    """No listener of this process is connected any more; each begins again when it is wanted."""
    for listener in list(_listeners):
        listener.stop()


def _before_a_database_is_dropped(*, connection: Any, **_: Any) -> None:
    if connection.alias == NO_DB_ALIAS:
        stop_all()


os.register_at_fork(after_in_child=_forget_all)
connection_created.connect(
    _before_a_database_is_dropped, dispatch_uid="coordination.connections.postgresql_listener"
)
