"""Keeping the leases of what is worked on: one thread a consumer, one call for all of them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
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
UNKNOWN_S = 0.25
"""How soon it asks again what the queue's visibility is, while the store does not say."""


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
        while not self._over.wait(self._pause_s()):
            try:
                self._extend()
            except CoordinationError as error:
                # The next turn comes before the lease ends.
                logger.warning("%s: leases are not extended for now: %s", self._queue, error)
            except Exception:
                logger.exception("the thread that extends leases goes on")

    def _pause_s(self) -> float:
        try:
            return self._queue.declared.visibility_ms / 1000 / PARTS
        except CoordinationError:
            # It may have been away from the start: nothing is taken before it answers.
            return UNKNOWN_S

    def _extend(self) -> None:
        with self._mutex:
            kept = list(self._kept.values())
        for start in range(0, len(kept), BATCH_MAX):
            part = kept[start : start + BATCH_MAX]
            renew(self._queue, part)
            for delivery in part:
                if delivery.lost:
                    self.let_go(delivery)


def renew(queue: Queue, deliveries: Sequence[Delivery]) -> None:
    """Let their leases begin anew; those that are somebody else's by now are `lost`."""
    lease_ms = queue.declared.visibility_ms
    asked_at = time.monotonic()
    stale: tuple[str, ...] = ()
    try:
        receipts = [each.receipt for each in deliveries]
        settling.extend(queue.store, queue.declared, receipts, lease_ms=lease_ms)
    except StaleReceipt as error:
        stale = error.receipts
    for each in deliveries:
        if each.receipt in stale:
            each.lost = True
        else:
            each.trusted_until = asked_at + lease_ms / 1000


def relied_on(queue: Queue, deliveries: Sequence[Delivery]) -> list[Delivery]:
    """Those of a repeated call that are still its own; when it took them first nobody knows."""
    if not deliveries or Capability.EXTEND not in queue.store.capabilities:
        return list(deliveries)
    try:
        renew(queue, deliveries)
    except CoordinationError as error:
        logger.warning("%s: %s messages may be somebody else's: %s", queue, len(deliveries), error)
        for each in deliveries:
            each.trusted_until = time.monotonic()
    return [each for each in deliveries if not each.lost]
