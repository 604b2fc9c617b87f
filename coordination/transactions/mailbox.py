"""How a waiter learns the decision: a Redis list of its process, with the row behind it.

Each process that waits has one list and one thread that reads it. Whoever decides pushes the
decision to the list named in the transaction's row. A message can be lost, so every waiter also
reads the row now and then: the message makes waiting quick, the row makes it certain.
"""

import asyncio
import json
import logging
import os
import secrets
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from django.core.signals import setting_changed

from coordination import conf, registry
from coordination.connections.redis import RedisStore
from coordination.exceptions import CoordinationError
from coordination.transactions.types import Outcome

logger = logging.getLogger(__name__)

POLL_MS = 1_000
DEAF_POLL_MS = 100
"""How often a waiter reads the row while no message can arrive."""
BLOCK_MS = 5_000
"""One read of the list; the thread ends after a silent one with nobody waiting."""
ANSWER_MS = 1_000
DELIVERY_MS_MAX = 250
DELIVERY_PAUSE_MS = 1_000
"""After a failed delivery none is tried for so long: no decider queues behind a dead Redis."""
MESSAGE_TTL_MS = 60_000
REOPEN_PAUSE_MS = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the register of a transaction holds."""

    outcome: Outcome
    reason: str = ""


Notify = Callable[[Decision], None]


class Expectation:
    """One caller's readiness to hear of one transaction, from the moment it was made."""

    def __init__(self, mailbox: "Mailbox") -> None:
        self._mailbox = mailbox
        self._heard = threading.Event()
        self._decision: Decision | None = None

    def notify(self, decision: Decision) -> None:
        """Hand over the decision, from any thread."""
        self._decision = decision
        self._heard.set()

    def wait(self, *, until: float, poll: Callable[[], Decision | None]) -> Decision | None:
        """Return the decision, or None when there is none at ``until``.

        Args:
            until: when to give up, on the monotonic clock, in seconds.
            poll: reads the row; runs in this thread, at least once before giving up.
        """
        while True:
            left_s = max(0.0, until - time.monotonic())
            self._heard.wait(min(left_s, self._mailbox.poll_s))
            found = self._decision or poll()
            if found is not None or time.monotonic() >= until:
                return found


class Mailbox:
    """Decisions on their way to this process's waiters. Without a store, waiters only poll."""

    def __init__(self, store: RedisStore | None, *, node: str, poll_ms: int = POLL_MS) -> None:
        self._store = store
        self._node = node
        self._poll_ms = poll_ms
        self._start_afresh()
        _mailboxes.add(self)

    def _start_afresh(self) -> None:
        """Become the mailbox of this process; after a fork the parent's waiters are not ours."""
        named = f"concord:{{{self._node}}}:mailbox:{secrets.token_hex(8)}"
        self.address: str = named if self._store is not None else ""
        self._lock = threading.Lock()
        self._waiters: dict[str, list[Notify]] = {}
        self._reader: threading.Thread | None = None
        self._deaf = self._store is None
        self._delivers_from = 0.0

    @property
    def poll_s(self) -> float:
        """How long a waiter may rely on messages before it reads the row."""
        return (min(DEAF_POLL_MS, self._poll_ms) if self._deaf else self._poll_ms) / 1000

    @contextmanager
    def expect(self, gid: str) -> Iterator[Expectation]:
        """Be ready for the decision of ``gid`` during the block: enter before it can be sent."""
        expectation = Expectation(self)
        with self._listening(gid, expectation.notify):
            yield expectation

    def wait(
        self, gid: str, *, until: float, poll: Callable[[], Decision | None]
    ) -> Decision | None:
        """Wait for a transaction begun earlier: reads the row at once, then as ``Expectation``."""
        with self.expect(gid) as expectation:
            return poll() or expectation.wait(until=until, poll=poll)

    async def await_decision(
        self, gid: str, *, until: float, poll: Callable[[], Awaitable[Decision | None]]
    ) -> Decision | None:
        """Wait as ``wait`` does, without a thread of its own; ``poll`` runs in the loop."""
        loop = asyncio.get_running_loop()
        heard: asyncio.Future[Decision] = loop.create_future()

        def notify(decision: Decision) -> None:
            try:
                loop.call_soon_threadsafe(_resolve, heard, decision)
            except RuntimeError:
                logger.debug("The loop that waited for %s is closed.", gid)

        with self._listening(gid, notify):
            while True:
                found = heard.result() if heard.done() else await poll()
                left_s = until - time.monotonic()
                if found is not None or left_s <= 0:
                    return found
                await asyncio.wait({heard}, timeout=min(left_s, self.poll_s))

    def deliver(self, address: str, gid: str, outcome: Outcome, reason: str = "") -> None:
        """Tell the process behind ``address`` the decision, if that is quickly possible.

        Never raises for a dead Redis and takes at most about 250 ms: the waiter reads the row.
        """
        decision = Decision(outcome=Outcome(outcome), reason=reason)
        if address == self.address:
            self._wake(gid, decision)
        elif address and self._store is not None and time.monotonic() >= self._delivers_from:
            self._push(self._store, address, gid, decision)

    def _push(self, store: RedisStore, address: str, gid: str, decision: Decision) -> None:
        body = {"gid": gid, "outcome": decision.outcome.value, "reason": decision.reason}
        push = ("RPUSH", address, json.dumps(body))
        expire = ("PEXPIRE", address, MESSAGE_TTL_MS)
        try:
            store.pipeline([push, expire], deadline_ms=DELIVERY_MS_MAX)
        except CoordinationError as error:
            self._delivers_from = time.monotonic() + DELIVERY_PAUSE_MS / 1000
            logger.warning("Decisions are not delivered, waiters read the rows: %s", error)

    @contextmanager
    def _listening(self, gid: str, notify: Notify) -> Iterator[None]:
        try:
            with self._lock:
                self._waiters.setdefault(gid, []).append(notify)
                if self._reader is None and self._store is not None:
                    self._reader = self._start_reader(self._store)
            yield
        finally:
            with self._lock:
                # A process forked inside the block knows nothing of this waiter.
                waiters = self._waiters.pop(gid, [])
                rest = [waiter for waiter in waiters if waiter is not notify]
                if rest:
                    self._waiters[gid] = rest

    def _start_reader(self, store: RedisStore) -> threading.Thread:
        reader = threading.Thread(
            target=self._read, args=(store,), name="concord-mailbox", daemon=True
        )
        reader.start()
        return reader

    def _wake(self, gid: str, decision: Decision) -> None:
        with self._lock:
            waiters = list(self._waiters.get(gid, ()))
        for notify in waiters:
            notify(decision)

    def _read(self, store: RedisStore) -> None:
        while True:
            try:
                reply = store.blocking(
                    *("BLPOP", self.address, BLOCK_MS / 1000),
                    block_ms=BLOCK_MS,
                    deadline_ms=ANSWER_MS,
                )
            except CoordinationError as error:
                self._turn_deaf(error)
                reply = None
            else:
                self._deaf = False
            if reply is not None:
                self._open(reply[1])
            elif self._leave_when_idle():
                return

    def _turn_deaf(self, error: CoordinationError) -> None:
        if not self._deaf:
            logger.warning("The mailbox is deaf, waiters read the rows: %s", error)
        self._deaf = True
        time.sleep(REOPEN_PAUSE_MS / 1000)

    def _leave_when_idle(self) -> bool:
        with self._lock:
            if self._waiters:
                return False
            self._reader = None
            return True

    def _open(self, message: bytes) -> None:
        try:
            body = json.loads(message)
            gid = body["gid"]
            decision = Decision(outcome=Outcome(body["outcome"]), reason=body["reason"])
        except (ValueError, KeyError, TypeError):
            logger.exception("A mailbox message makes no sense: %.200r", message)
            return
        self._wake(gid, decision)


def _resolve(heard: "asyncio.Future[Decision]", decision: Decision) -> None:
    if not heard.done():
        heard.set_result(decision)


@cache
def process_mailbox() -> Mailbox:
    """Return the mailbox of this process, on the store that TRANSACTIONS["MAILBOX"] names."""
    settings = conf.current()
    alias = settings.transactions.mailbox
    store = registry.redis_store(alias) if alias is not None else None
    return Mailbox(store, node=settings.node, poll_ms=settings.transactions.poll_ms)


def _forget(*, setting: str, **_: object) -> None:
    if setting == "COORDINATION":
        process_mailbox.cache_clear()


setting_changed.connect(_forget, dispatch_uid="coordination.transactions.mailbox")

_mailboxes: "weakref.WeakSet[Mailbox]" = weakref.WeakSet()


def _start_all_afresh() -> None:
    for mailbox in list(_mailboxes):
        mailbox._start_afresh()


os.register_at_fork(after_in_child=_start_all_afresh)
