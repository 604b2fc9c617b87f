"""Keeping the leases of what is worked on: one thread a consumer, one call for all of them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from coordination.exceptions import CoordinationError, StaleReceipt
from coordination.queues import settling
from coordination.queues.delivery import Delivery
from coordination.queues.types import BATCH_MAX, Capability

if TYPE_CHECKING:
    from coordination.queues.api import Queue

logger = logging.getLogger(__name__)

PARTS = 3
"""Times that a lease is extended before it would end."""


class LeaseKeeper:
    """The messages of one consumer that are being worked on."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._mutex = threading.Lock()
        self._kept: dict[str, Delivery] = {}
        self._over = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Extend leases during the block, on stores whose deliveries have one."""
        if Capability.EXTEND not in self._queue.store.capabilities:
            yield
            return
        thread = threading.Thread(target=self._run, name="concord-leases", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def keep(self, delivery: Delivery) -> None:
        """From now on."""
        with self._mutex:
            self._kept[delivery.receipt] = delivery

    def let_go(self, delivery: Delivery) -> None:
        """From now on no more."""
        with self._mutex:
            self._kept.pop(delivery.receipt, None)

    def _run(self) -> None:
        visibility_s = self._queue.declared.visibility_ms / 1000
        while not self._over.wait(visibility_s / PARTS):
            try:
                self._extend()
            except CoordinationError as error:
                # The next turn comes before the lease ends.
                logger.warning("%s: leases are not extended for now: %s", self._queue, error)
            except Exception:
                logger.exception("the thread that extends leases goes on")

    def _extend(self) -> None:
        with self._mutex:
            kept = dict(self._kept)
        receipts = list(kept)
        lease_ms = self._queue.declared.visibility_ms
        for start in range(0, len(receipts), BATCH_MAX):
            part = receipts[start : start + BATCH_MAX]
            asked_at = time.monotonic()
            stale: tuple[str, ...] = ()
            try:
                settling.extend(self._queue.store, self._queue.declared, part, lease_ms=lease_ms)
            except StaleReceipt as error:
                stale = error.receipts
            for receipt in part:
                if receipt in stale:
                    kept[receipt].lost = True
                    self.let_go(kept[receipt])
                else:
                    kept[receipt].trusted_until = asked_at + lease_ms / 1000
