"""The sweeper's part in forgetting: all rows and databases, at a gentle pace."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import django.db
from django.db import close_old_connections, connections

from coordination import conf
from coordination.connections.database import UNREACHABLE, StatementRefused
from coordination.exceptions import CoordinationError
from coordination.kernel.settings import DATABASE
from coordination.transactions.forgetting import Forgetter
from coordination.transactions.leftovers import Leftovers
from coordination.transactions.participants import registered
from coordination.transactions.registers.oblivion import forget

logger = logging.getLogger(__name__)

BATCH_PAUSE_S, ROUND_PAUSE_S = 0.2, 60.0
FAILURES = (CoordinationError, StatementRefused, django.db.Error, *UNREACHABLE)


def run(stop: threading.Event, *, round_pause_s: float = ROUND_PAUSE_S) -> None:
    """Forget until `stop` is set; what cannot be reached now is left for the next round."""
    while not stop.is_set():
        for step in _steps():
            while _looked(step) and not stop.wait(BATCH_PAUSE_S):
                pass
        close_old_connections()
        stop.wait(round_pause_s)


def run_once() -> None:
    """One round, without pauses. Raises what the coordinator's database raises."""
    for step in _steps():
        while step():
            pass


def databases() -> list[str]:
    """Where branches of this node leave witnesses and barriers."""
    settings = conf.current()
    used = {entry.using for entry in registered().values()} | {settings.transactions.using}
    # Where messages are published and counters added to as a part of transactions.
    used |= {each.using for each in settings.stores.values() if each.backend == DATABASE}
    return sorted(used & set(connections.databases))


def _steps() -> list[Callable[[], int]]:
    return [Forgetter().step, *(Leftovers(using).step for using in databases()), forget]


def _looked(step: Callable[[], int]) -> int:
    try:
        return step()
    except FAILURES as error:
        logger.warning("could not forget what is old: %s", error)
        close_old_connections()
        return 0
