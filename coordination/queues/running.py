"""A supervised consumer: `queue.run(handler)`.

It takes no more messages than it can begin at once, since each attempt is counted when a message is
taken. A suspect, whose last taker vanished with it, runs while nothing else does: if it kills this
process, too, it takes no innocent message's attempt with it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from django.db import close_old_connections

from coordination.exceptions import (
    CoordinationError,
    InvalidArgument,
    NotSupportedByStore,
    OutcomeUnknown,
    StaleReceipt,
)
from coordination.failpoints import hit
from coordination.kernel.backoff import backoff_ms
from coordination.queues import operation_ids, settling
from coordination.queues.delivery import Delivery
from coordination.queues.keeping import LeaseKeeper, relied_on
from coordination.queues.stopping import told_to_stop
from coordination.queues.types import Settlement, Verb
from coordination.queues.waiting import take

if TYPE_CHECKING:
    from coordination.queues.api import Queue

logger = logging.getLogger(__name__)

WAIT_S = 1.0
"""How long it waits for messages before it looks whether it is to stop."""
PAUSE_MS, PAUSE_MS_MAX = 250, 5_000
AGAIN_S = 0.25
"""How long after a failure it tries again to settle a message that is still its own."""


class Runner:
    """Workers of one queue in this process."""

    def __init__(
        self, queue: Queue, handler: Callable[[Delivery], object], *, concurrency: int
    ) -> None:
        self._queue, self._handler, self._concurrency = queue, handler, concurrency
        self._keeper = LeaseKeeper(queue)
        self._changed = threading.Condition()
        self._active = 0
        self._op = operation_ids.new()
        """Of the next call that takes: made again, until its answer is known."""
        self._repeats = False
        """Whether it was made before."""

    def run(self, stop: threading.Event | None) -> None:
        """Work until `stop` is set or a signal comes; what is under way is completed first.

        Raises InvalidArgument where the queue was declared otherwise.
        """
        pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="concord-consumer")
        # The pool ends first: its leases are kept until its last message is settled.
        with told_to_stop(stop) as told, self._keeper.running(), pool:
            self._feed(pool, told)

    def _feed(self, pool: ThreadPoolExecutor, stop: threading.Event) -> None:
        failures = 0
        while not stop.is_set():
            free = self._free()
            if free == 0:
                continue
            try:
                taken = self._take(free)
            except (InvalidArgument, NotSupportedByStore):
                raise  # no time will mend it
            except CoordinationError as error:
                failures += 1
                pause_ms = backoff_ms(failures, base_ms=PAUSE_MS, cap_ms=PAUSE_MS_MAX, uniform=1)
                logger.warning("%s: nothing is taken for now: %s", self._queue, error)
                stop.wait(pause_ms / 1000)
                continue
            failures = 0
            self._begin(taken, pool, stop)

    def _take(self, count: int) -> list[Delivery]:
        queue = self._queue
        try:
            found = take(queue.store, queue.declared, op=self._op, count=count, wait_s=WAIT_S)
        except OutcomeUnknown:
            self._repeats = True
            raise  # what it took is found again with the same op
        except CoordinationError:
            self._next_op()
            raise
        until = found.trusted_until
        taken = [Delivery(queue, each, trusted_until=until) for each in found.taken]
        if self._repeats:
            taken = relied_on(queue, taken)
        self._next_op()
        return taken

    def _next_op(self) -> None:
        self._op, self._repeats = operation_ids.new(), False

    def _begin(
        self, taken: Sequence[Delivery], pool: ThreadPoolExecutor, stop: threading.Event
    ) -> None:
        for delivery in taken:
            self._keeper.keep(delivery)
        for place, delivery in enumerate(taken):
            if delivery.suspect:
                self._idle()
            if stop.is_set():
                self._give_back(taken[place:])
                return
            with self._changed:
                self._active += 1
            pool.submit(self._work, delivery)
            if delivery.suspect:
                self._idle()

    def _work(self, delivery: Delivery) -> None:
        try:
            close_old_connections()
            self._settle(delivery, self._outcome(delivery))
        except Exception:
            logger.exception("%r is not settled, and comes again", delivery)
        finally:
            self._keeper.let_go(delivery)
            close_old_connections()
            with self._changed:
                self._active -= 1
                self._changed.notify_all()

    def _outcome(self, delivery: Delivery) -> Settlement | None:
        """What became of it by its handler; None when that has settled it."""
        hit("queue.body.before")
        try:
            self._handler(delivery)
        except BaseException as error:
            # Also SystemExit: in a thread it ends nothing, and would be told by nobody.
            logger.warning("%r failed", delivery, exc_info=True)
            if delivery.settled:
                return None
            queue = self._queue.declared
            (failed,) = settling.failed(queue, [delivery.receipt], delay=None, error=error)
            return failed
        hit("queue.body.after")
        return None if delivery.settled else Settlement(delivery.receipt, Verb.ACK)

    def _settle(self, delivery: Delivery, settlement: Settlement | None) -> None:
        """Tell the store, again and again while the message is this process's."""
        if settlement is None:
            return
        queue, op = self._queue, operation_ids.new()
        while True:
            try:
                settling.settle(queue.store, queue.declared, [settlement], op=op)
            except StaleReceipt as error:
                logger.warning("%r was done by a taker that had lost it: %s", delivery, error)
                return
            except CoordinationError as error:
                if time.monotonic() > delivery.trusted_until:
                    raise
                logger.warning("%r is not settled yet: %s", delivery, error)
                threading.Event().wait(AGAIN_S)
            else:
                hit("queue.settle.after")
                return

    def _free(self) -> int:
        """How many may be begun; waits a moment while none may."""
        with self._changed:
            if self._active >= self._concurrency:
                self._changed.wait(WAIT_S)
            return self._concurrency - self._active

    def _idle(self) -> None:
        """Wait until nothing is being worked on."""
        with self._changed:
            self._changed.wait_for(lambda: self._active == 0)

    def _give_back(self, taken: Sequence[Delivery]) -> None:
        settlements = [Settlement(each.receipt, Verb.RELEASE) for each in taken]
        for each in taken:
            self._keeper.let_go(each)
        try:
            settling.stale_of(self._queue.store, self._queue.declared, settlements)
        except CoordinationError as error:
            logger.warning("%s: %s come again later: %s", self._queue, len(taken), error)
