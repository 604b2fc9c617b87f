"""One connection a process hears for all its waiters that a lock in Redis was handed to them.

The script that hands a lock over publishes the id of the request on its process's channel, and what
was handed to it. A message may be lost, so everybody is woken whenever the connection begins anew.

A thread that waits reads the connection itself and rings for the others, so that it is not woken by
way of another thread. While it does not, or where only tasks of event loops wait, a thread of ours
reads in its place.

Whose turn it is to read is no lock: a signal's handler may raise between any two steps of the main
thread, and a lock that was taken just then would never be released. The turn is the bell of whoever
reads, so one that does not hang any more is nobody's turn.
"""

import logging
import os
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from coordination.connections.redis import RedisStore, Script, Subscription
from coordination.exceptions import CoordinationError
from coordination.identity import identity
from coordination.locks.bells import Bell, Bells
from coordination.locks.taken import Asked, Taken

logger = logging.getLogger(__name__)

IDLE_S = 10.0
"""How long a connection that nobody read may have been silent and still be trusted."""
LOOK_S = 0.2
"""How often who reads looks whether its bell was rung by another, or nobody waits any more."""
AGAIN_S = 0.5
"""How long after a failure it tries to connect again."""

Claiming = Callable[[bytes, Asked], Taken | None]
"""Makes of what was published what a waiter has now, or None if it had better ask."""


class RedisBells:
    """The waiters of this process for the locks of one Redis."""

    def __init__(self, store: RedisStore, *, claims: Script | None = None) -> None:
        """Listen nowhere yet.

        Args:
            store: where it listens.
            claims: what a waiter runs that was handed a lock; it is loaded beforehand.
        """
        self._store = store
        self._claims = claims
        self._heard: list[Subscription] = []
        """One at most."""
        self._start_afresh()
        _all.add(self)

    def _start_afresh(self) -> None:
        _close(self._heard)  # the parent's: redis-py sends nothing in another process
        self._pid = os.getpid()
        self._bells = Bells()
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None
        self._turn: dict[None, Bell] = {}
        """The bell of whoever reads the subscription."""
        self._own: Bell | None = None
        """Of our own thread: rung when a turn is over."""
        self._heard = []
        # Bells that nobody holds any more close it instead of leaving it to chance.
        weakref.finalize(self, _close, self._heard).atexit = False
        self._read_at = 0.0
        self._channel = f"concord:bell:{identity()}:{secrets.token_hex(4)}"

    @property
    def channel(self) -> str:
        """What the scripts publish on. A channel is not a key."""
        # uWSGI forks without Python's hooks.
        if self._pid != os.getpid():
            self._start_afresh()
        return self._channel

    @contextmanager
    def hung(self, id_: str, claiming: Claiming | None = None) -> Iterator[Bell]:
        """The bell of one request; it rings at once unless somebody listened all the time."""
        bell = RedisBell(self, id_, claiming)
        with self._bells.hung(id_, bell):
            if bell.loop is not None:
                self.read_elsewhere()
            yield bell

    def wait(self, bell: Bell, seconds: float) -> bool:
        """Whether the bell of this thread rang; reads meanwhile, unless somebody does already."""
        until = time.monotonic() + seconds
        try:
            if not self._takes_turn(bell):
                return Bell.wait(bell, seconds)
            while not bell.rang and (left_s := until - time.monotonic()) > 0:
                self._read(min(left_s, LOOK_S), connect_s=left_s)
        except CoordinationError:
            # Whoever asks after this is told what is wrong.
            Bell.wait(bell, max(0.0, min(until - time.monotonic(), AGAIN_S)))
        except BaseException:
            if self._turn.get(None) is bell:
                # A message may have been read and not passed on: who listens anew rings for all.
                _close(self._heard)
            raise
        finally:
            if self._turn.get(None) is bell:
                self._turn.pop(None)
                if self._own is not None:
                    self._own.ring()
                if len(self._bells) > 1:
                    self.read_elsewhere()
        return Bell.wait(bell, 0)

    def _takes_turn(self, bell: Bell) -> bool:
        """Whether it is the turn of `bell` to read, from now on."""
        holder = self._turn.setdefault(None, bell)
        if holder is bell or self._may_read(holder):
            return holder is bell
        with self._mutex:
            # Of two who find the same one gone, the second must not end the turn of the first.
            if self._turn.get(None) is holder:
                _close(self._heard)
                self._turn.pop(None)
        return self._turn.setdefault(None, bell) is bell

    def _may_read(self, holder: Bell) -> bool:
        """Whether whoever took the turn is still there to give it back."""
        return not isinstance(holder, RedisBell) or self._bells.hangs(holder.id, holder)

    def read_elsewhere(self) -> None:
        """Let a thread read as soon as nobody else does."""
        with self._mutex:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="concord-bells", daemon=True)
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        self._own = own = Bell()
        while True:
            try:
                self._read_while_needed(own)
            except CoordinationError:
                # Whoever waits looks for himself, and is told what is wrong.
                threading.Event().wait(AGAIN_S)
            except Exception:
                logger.exception("the thread that listens to Redis goes on")
                threading.Event().wait(AGAIN_S)
            if not self._bells and self._leave():
                return

    def _read_while_needed(self, own: Bell) -> None:
        try:
            while self._bells:
                if self._takes_turn(own):
                    self._read(LOOK_S)
                else:
                    own.wait(LOOK_S)
        finally:
            if self._turn.get(None) is own:
                self._turn.pop(None)

    def _leave(self) -> bool:
        """End the thread, unless somebody came just now."""
        with self._mutex:
            if self._bells:
                return False
            self._thread = None
            return True

    def _read(self, seconds: float, *, connect_s: float | None = None) -> None:
        """Ring for what comes within this time. Raises StoreUnavailable and its like."""
        now = time.monotonic()
        if not self._heard or self._heard[0].cut or now - self._read_at > IDLE_S:
            _close(self._heard)
            deadline_ms = None if connect_s is None else max(1, int(connect_s * 1000))
            self._heard.append(self._store.subscribe(self.channel, deadline_ms=deadline_ms))
            self._read_at = now
            self._bells.ring_all()
            if self._claims is not None:
                with suppress(CoordinationError):  # without it a claim is renewed a little later
                    self._claims.load(deadline_ms=deadline_ms)
            return
        heard = self._heard[0]
        message = heard.message(seconds)
        if not heard.cut:
            self._read_at = time.monotonic()
        if message is not None:
            id_, _, told = message.partition(b" ")
            self._bells.ring(id_.decode(), told)


class RedisBell(Bell):
    """Of one waiter for a lock in Redis."""

    def __init__(self, bells: RedisBells, id_: str, claiming: Claiming | None) -> None:
        super().__init__()
        self._of = bells
        self.id = id_
        self._claiming = claiming

    def wait(self, seconds: float) -> bool:
        """Whether it rang within `seconds`, in a thread."""
        return self._of.wait(self, seconds)

    def claim(self, asked: Asked) -> Taken | None:
        """What was handed over by the last ring; None when that has to be asked for."""
        told, self.told = self.told, None
        return None if told is None or self._claiming is None else self._claiming(told, asked)


def _close(heard: list[Subscription]) -> None:
    while heard:
        heard.pop().close()


_all: "weakref.WeakSet[RedisBells]" = weakref.WeakSet()


def _start_all_afresh() -> None:
    for each in list(_all):
        each._start_afresh()


os.register_at_fork(after_in_child=_start_all_afresh)
