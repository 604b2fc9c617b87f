"""The sweeper: guarantees progress when messages, workers or callers are lost.

Any number may run. Each takes due transactions by SKIP LOCKED and leases them for a growing,
jittered time; a sweeper that dies delays its share by one lease and nothing else.
"""

import logging
import threading
import time

from django.db import close_old_connections

from coordination.connections.database import StatementRefused
from coordination.exceptions import CoordinationError
from coordination.failpoints import hit
from coordination.transactions import orphans, runner
from coordination.transactions.branches.answer import InDoubt
from coordination.transactions.coordinator import store

logger = logging.getLogger(__name__)

BATCH = 200
IDLE_S = 0.5
ORPHANS_EVERY_S = 5.0
LEASE_BASE_MS, LEASE_CAP_MS = 2_000, 8_000
FAILURE_PAUSE_S = (0.25, 5.0)


def sweep_once() -> int:
    """Take what is due and bring it forward; returns how many transactions that were."""
    gids = store().lease_due(limit=BATCH, base_ms=LEASE_BASE_MS, cap_ms=LEASE_CAP_MS)
    if not gids:
        return 0
    hit("sweep.lease.after")
    for snapshot in store().snapshots(gids):
        try:
            runner.perform(snapshot, resend=True)
        except (StatementRefused, InDoubt) as error:
            logger.warning("transaction %s is not brought forward: %s", snapshot.gid, error)
    return len(gids)


def run(stop: threading.Event, *, orphans_every_s: float = ORPHANS_EVERY_S) -> None:
    """Sweep until `stop` is set; outages are waited out with a growing pause."""
    pause_s, pause_s_max = FAILURE_PAUSE_S
    failures, orphans_due = 0, 0.0
    while not stop.is_set():
        try:
            taken = sweep_once()
            if time.monotonic() >= orphans_due:
                orphans.sweep()
                orphans_due = time.monotonic() + orphans_every_s
            failures = 0
        except (CoordinationError, StatementRefused) as error:
            failures += 1
            logger.warning("sweep failed: %s", error)
            close_old_connections()
            if time.monotonic() >= orphans_due:
                # Votes that last elsewhere end branches while the coordinator's database is down.
                orphans.sweep()
                orphans_due = time.monotonic() + orphans_every_s
            stop.wait(min(pause_s_max, pause_s * 2**failures))
            continue
        if taken < BATCH:
            stop.wait(IDLE_S)
