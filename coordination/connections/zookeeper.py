"""Requests to one ZooKeeper store, each within a deadline and never sent twice.

One client a process and store. kazoo keeps the session alive and connects again by itself; its
retries of requests are not used. What is asked while the connection is down is refused rather than
kept for later, and a frozen server is told from a quiet one by requests that get no answer.
"""

import atexit
import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from kazoo.client import KazooClient
from kazoo.exceptions import AuthFailedError, ZookeeperError
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.hosts import collect_hosts
from kazoo.protocol.states import KazooState, KeeperState

from coordination.connections.zookeeper_errors import (
    NOT_ANSWERED,
    ReplyLost,
    ZooKeeperRefused,
    refusal,
)
from coordination.connections.zookeeper_exchange import Pending, Sent
from coordination.connections.zookeeper_requests import Commit, Request, encoded, reply_of
from coordination.exceptions import InvalidArgument, OutcomeUnknown, StoreUnavailable

logger = logging.getLogger(__name__)

CONNECT_MS = 1_000
DEADLINE_MS = 2_000
SESSION_MS = 10_000
SILENT_S = 0.5
"""After which an answer that nobody waited for is noted as missing."""
RECONNECT = {"max_tries": -1, "delay": 0.05, "max_delay": 1.0}
END_S = 0.5
"""How long the end of the process may wait for its sessions to be closed."""


class Session(StrEnum):
    """How the session of this process stands; after anything but CONNECTED nothing is sure."""

    CONNECTED = "connected"
    SUSPENDED = "the connection to ZooKeeper was lost"
    LOST = "the session with ZooKeeper has ended"


Heard = Callable[[Session], None]


class ZooKeeperStore:
    """One configured ZooKeeper, shared by all threads of the process and safe after a fork."""

    def __init__(
        self, alias: str, location: str, *, options: Mapping[str, object] | None = None
    ) -> None:
        """Describe the store; nothing is opened before the first request.

        Args:
            alias: the store's name in COORDINATION, for errors.
            location: ``host:port`` of one or more servers, by commas; then the path of the node
                that everything is kept below, if it is not the root: ``a:2181,b:2181/shop``.
            options: ``connect_ms``, ``deadline_ms``: the limits of a call that names none;
                ``session_ms``: the silence after which ZooKeeper ends the session.
        """
        limits: Mapping[str, Any] = options or {}
        self.alias = alias
        self.deadline_ms: int = limits.get("deadline_ms", DEADLINE_MS)
        self.session_ms: int = limits.get("session_ms", SESSION_MS)
        self.address, _, path = location.partition("/")
        self.root = f"/{path.strip('/')}" if path.strip("/") else ""
        """The path of the node that everything is kept below; empty for the root."""
        try:
            collect_hosts(self.address)
        except ValueError as error:
            raise InvalidArgument(
                f"ZooKeeper store {alias!r}: {location!r:.80}: {error}", store=alias
            ) from None
        self._connect_ms: int = limits.get("connect_ms", CONNECT_MS)
        self._heard: list[Heard] = []
        self._start_afresh()
        _stores.add(self)

    def _start_afresh(self) -> None:
        self._mutex = threading.Lock()
        self._life: _Life | None = None

    def listen(self, heard: Heard) -> None:
        """Tell `heard` of every change of the session, in a thread that must not be kept."""
        self._heard.append(heard)

    @property
    def session(self) -> int | None:
        """Number of the present session; ephemeral nodes with another are not this one's."""
        life = self._life
        client_id = None if life is None else life.client.client_id
        return None if client_id is None else client_id[0]

    @property
    def opened(self) -> bool:
        """Whether there is a client, connected or not."""
        return self._life is not None

    def ask(
        self, *requests: Request, deadline_ms: int | None = None, opens: bool = True
    ) -> list[Any]:
        """Send the requests in one round trip, in this order, and return their replies.

        A reply is a pair of data (Get) or names (Children) with the Stat, or the results of a
        Commit's steps; a ZooKeeperRefused stands in the place of what was refused by itself.
        With `opens` False nothing is sent by a store that was closed.

        Raises:
            StoreUnavailable: they were not sent, or change nothing; not applied.
            OutcomeUnknown: they were sent, and not all replies came in time.
        """
        until = time.monotonic() + (self.deadline_ms if deadline_ms is None else deadline_ms) / 1000
        life = self._alive(until, opens=opens)
        sent_at = time.monotonic()
        pending = [life.send(request) for request in requests]
        try:
            replies = [
                self._reply(request, each, until)
                for request, each in zip(requests, pending, strict=True)
            ]
        except (KazooTimeoutError, *NOT_ANSWERED) as error:
            if isinstance(error, KazooTimeoutError):
                life.unanswered(sent_at)
            raise self._lost(requests, error) from error
        life.answered()
        return replies

    def begin(self, *requests: Request, ring: Callable[[], None]) -> Sent | None:
        """Send the requests without waiting, where there is a connection; else None.

        `ring` is called in another thread as replies come. One that is left behind unanswered is
        looked for by the next.
        """
        life = self._life
        if life is None or life.over or not life.connected.is_set():
            return None
        life.look_back()
        at = time.monotonic()
        pending = [Pending(ring) for _ in requests]
        for request, each in zip(requests, pending, strict=True):
            life.send(request, each)
        life.left_behind = (at, pending[-1])

        def replies() -> list[Any]:
            try:
                return [
                    self._reply(request, each, at)
                    for request, each in zip(requests, pending, strict=True)
                ]
            except NOT_ANSWERED as error:
                raise self._lost(requests, error) from error

        return Sent(pending, replies=replies)

    def check_silence(self) -> None:
        """Give up a connection on which requests get no answer."""
        if (life := self._life) is not None:
            life.check_silence()

    def close(self) -> None:
        """End the session; the store stays usable."""
        with self._mutex:
            life, self._life = self._life, None
        if life is not None:
            life.retire()
            self._tell(Session.LOST)

    def __repr__(self) -> str:
        return f"<ZooKeeperStore {self.alias} at {self.address}{self.root}>"

    def _alive(self, until: float, *, opens: bool) -> "_Life":
        """A connected client, waiting for it no longer than allowed."""
        with self._mutex:
            former = life = self._life
            if life is None and not opens:
                raise self._not_connected()
            if life is None or life.over:
                life = self._life = _Life(self)
        if former is not None and former is not life:
            former.retire()
            self._tell(Session.LOST)
        patience_s = min(self._connect_ms / 1000, until - time.monotonic())
        if not life.connected.wait(max(0.0, patience_s)):
            raise self._not_connected()
        return life

    def _not_connected(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"ZooKeeper store {self.alias!r} at {self.address}: not connected.",
            store=self.alias,
            reason="not connected",
        )

    def _reply(self, request: Request, pending: Any, until: float) -> Any:
        try:
            raw = pending.get(timeout=max(0.0, until - time.monotonic()))
        except NOT_ANSWERED:
            raise
        except AuthFailedError as error:
            raise StoreUnavailable(
                f"ZooKeeper store {self.alias!r}: who we are was refused.", store=self.alias
            ) from error
        except ZookeeperError as error:
            return refusal(error, store=self.alias)
        return reply_of(request, raw, store=self.alias)

    def _lost(
        self, requests: tuple[Request, ...], error: Exception
    ) -> OutcomeUnknown | StoreUnavailable:
        reason = "no answer came" if isinstance(error, KazooTimeoutError) else type(error).__name__
        where = f"ZooKeeper store {self.alias!r} at {self.address}"
        if any(isinstance(each, Commit) for each in requests):
            return OutcomeUnknown(
                f"{where}: the outcome is unknown: {reason}.", store=self.alias, reason=reason
            )
        lost = StoreUnavailable if isinstance(error, KazooTimeoutError) else ReplyLost
        return lost(f"{where}: {reason}.", store=self.alias, reason=reason)

    def _tell(self, session: Session) -> None:
        for heard in list(self._heard):
            heard(session)

    def _forked(self) -> None:
        life = self._life
        self._start_afresh()
        if life is not None:
            life.forked()


class _Life:
    """One kazoo client, from its start until it is retired."""

    def __init__(self, store: ZooKeeperStore) -> None:
        self.client = KazooClient(
            hosts=store.address,
            timeout=store.session_ms / 1000,
            connection_retry=dict(RECONNECT),
            logger=logger,
        )
        self._session_s = store.session_ms / 1000
        self._store = weakref.ref(store)
        self._retired = False
        self._down_since: float | None = None
        self._unanswered_since: float | None = None
        self.left_behind: tuple[float, Pending] | None = None
        """When requests were sent last that somebody may not wait for, and the last of them."""
        self.client.add_listener(self._changed)
        # `start` would wait for as long as a whole session when it gives up.
        self.connected: threading.Event = self.client.start_async()

    @property
    def over(self) -> bool:
        """Whether this client will not serve any more.

        After a whole session without a connection the session is over. kazoo would go on with it,
        and a server that was set up anew refuses for ever a client that has seen a later change
        than itself (kazoo issue 42).
        """
        if self.client.client_state in (KeeperState.CLOSED, KeeperState.AUTH_FAILED):
            # CLOSED is also the state before the first attempt to connect.
            return self._down_since is not None
        down_since = self._down_since
        return down_since is not None and time.monotonic() - down_since > self._session_s

    def send(self, request: Request, pending: Any = None) -> Any:
        """The pending reply: the one given, or one of kazoo's kind."""
        if pending is None:
            pending = self.client.handler.async_result()
        # The same call as kazoo's own methods make, for requests that it has no method for.
        self.client._call(encoded(request), pending)
        return pending

    def answered(self) -> None:
        """The server lives."""
        self._unanswered_since = None

    def unanswered(self, sent_at: float) -> None:
        """A request that was sent then got no answer in time."""
        if self._unanswered_since is None:
            self._unanswered_since = sent_at
        self.check_silence()

    def look_back(self) -> None:
        """Note whether what was begun last, and perhaps not waited for, is still unanswered."""
        if self.left_behind is None:
            return
        at, pending = self.left_behind
        if pending.ready():
            self._unanswered_since = None
        elif time.monotonic() - at > SILENT_S:
            self.unanswered(at)

    def check_silence(self) -> None:
        """Cut the connection when the server is silent.

        kazoo takes a request for a ping and waits for its answer for ever, so with enough requests
        it never notices. The server may have heard nothing for one more third of a session (the
        time between pings), so the holder learns before the server ends its session.
        """
        since = self._unanswered_since
        if since is not None and time.monotonic() - since > self._session_s / 3:
            self._unanswered_since = None
            with contextlib.suppress(OSError, AttributeError):
                # Its thread reads the end and connects again, with the same session.
                self.client._connection._socket.shutdown(2)

    def retire(self) -> threading.Thread:
        """End the session in a thread of its own: that may take as long as a session."""
        self._retired = True
        thread = threading.Thread(target=self._end, name="concord-zookeeper-end", daemon=True)
        thread.start()
        return thread

    def forked(self) -> None:
        """Let go, in a forked child, of what belongs to the parent."""
        self._retired = True
        atexit.unregister(self.client.handler.stop)
        connection = self.client._connection
        for each in (connection._socket, connection._read_sock, connection._write_sock):
            if each is not None:
                # The number alone: closing a TLS socket would speak to the server.
                with contextlib.suppress(OSError):
                    os.close(each.detach())

    def _end(self) -> None:
        try:
            self.client.stop()
            self.client.close()
        except Exception:
            logger.debug("A session with ZooKeeper was not closed.", exc_info=True)

    def _changed(self, state: str) -> None:
        if state == KazooState.CONNECTED:
            self._down_since = None
            self._unanswered_since = None
        elif self._down_since is None:
            self._down_since = time.monotonic()
        store = self._store()
        if store is not None and not self._retired:
            store._tell(_SESSIONS[state])


_SESSIONS = {
    KazooState.CONNECTED: Session.CONNECTED,
    KazooState.SUSPENDED: Session.SUSPENDED,
    KazooState.LOST: Session.LOST,
}

_stores: "weakref.WeakSet[ZooKeeperStore]" = weakref.WeakSet()


def _forked() -> None:
    for store in list(_stores):
        store._forked()


def _close_all() -> None:
    """Close the sessions, so that what this process holds is free at once and not after them."""
    lives = [life for store in list(_stores) if (life := store._life) is not None]
    ends = [life.retire() for life in lives]
    until = time.monotonic() + END_S
    for end in ends:
        end.join(max(0.0, until - time.monotonic()))


os.register_at_fork(after_in_child=_forked)
atexit.register(_close_all)

__all__ = ["Session", "ZooKeeperRefused", "ZooKeeperStore"]
