"""Runs a step for ever: quickly while there is work, slowly when idle, through any outage."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import random
from threading import Event as Flag

import django.db
from django.db import connections

from coordination.connections.database import StatementRefused
from coordination.exceptions import CoordinationError
from coordination.kernel.backoff import backoff_ms
from coordination.observing.fences import Fenced

logger = logging.getLogger(__name__)

STAND_BY_S = 0.5
"""How long an observer that lost the cursor leaves the work to the one that has it."""
BACKOFF_BASE_MS, BACKOFF_CAP_MS = 100, 3_000
EXPECTED = (CoordinationError, StatementRefused, django.db.Error)
"""What an outage looks like; anything else is a bug and logged with its traceback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds between steps: after a step that found work, and after one that did not."""

    busy_s: float
    idle_s: float


def run(
    name: str,
    step: Callable[[], int],
    *,
    pace: Pace,
    stop: Flag,
    stand_by: Callable[[], object] | None = None,
    stand_by_every_s: float = 1.0,
) -> None:
    """Call `step` until `stop` is set; an error is logged and tried again, later and later.

    Args:
        step: does a piece of work; returns how much it found.
        stand_by: called about every `stand_by_every_s`, also while there is work.
    """
    failures, due, busy_until = 0, 0.0, 0.0
    while not stop.is_set():
        try:
            if step() > 0:
                busy_until = time.monotonic() + 1
            if stand_by is not None and time.monotonic() >= due:
                stand_by()
                due = time.monotonic() + stand_by_every_s
            failures = 0
            pause_s = pace.busy_s if time.monotonic() < busy_until else pace.idle_s
        except Fenced:
            pause_s = STAND_BY_S
        except Exception as error:
            # The edge of the process: it records, and goes on.
            failures += 1
            pause_ms = backoff_ms(
                failures,
                base_ms=BACKOFF_BASE_MS,
                cap_ms=BACKOFF_CAP_MS,
                uniform=random(),  # noqa: S311
            )
            surprise = not isinstance(error, EXPECTED)
            logger.warning(
                "%s failed, again in %d ms: %s", name, pause_ms, error, exc_info=surprise
            )
            connections.close_all()
            pause_s = pause_ms / 1000
        stop.wait(pause_s)
    connections.close_all()
