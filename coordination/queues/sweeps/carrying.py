"""Carrying sweeps out, step by step, by whoever comes: the one who ordered it, or any sweeper.

A row is locked while its step is made, so two never make the same one at once. A step has an op of
its own: whoever takes over after a death makes it again and gets the first answer, or, when that is
forgotten, goes on within the set that the first step froze. Where a store knows no frozen set
(RabbitMQ), a step that nobody heard the end of stops the sweep, which says where it stood.
"""

import logging
import threading
from datetime import timedelta
from random import random
from time import monotonic

from django.db import DatabaseError, InterfaceError, close_old_connections, transaction
from django.utils import timezone

from coordination import conf
from coordination.exceptions import (
    CoordinationError,
    OutcomeUnknown,
    QueueFull,
    StoreUnavailable,
)
from coordination.failpoints import hit
from coordination.kernel.backoff import backoff_ms
from coordination.queues.declared import declared
from coordination.queues.operating import STEP
from coordination.queues.operation_ids import part
from coordination.queues.store import QueueStore
from coordination.queues.stores import queue_store
from coordination.queues.sweeps.tables import QueueSweep, SweepState, Verb
from coordination.queues.types import Capability, Swept

logger = logging.getLogger(__name__)

IDLE_S = 1.0
PAUSE_MS, PAUSE_MS_MAX = 1_000, 30_000
LOST_AFTER = timedelta(seconds=60)
"""A step that began longer ago has nobody who makes it: no store's deadline is as long."""
ERROR_LENGTH_MAX = 500
DIED = (
    "Its process died during a step of up to {size}: how much of that was done nobody knows. "
    "It goes on only if somebody asks."
)


def carry(op: str, *, within_s: float) -> CoordinationError | None:
    """Make steps of a sweep until it ends, or `within_s`; the error that held it up, if any."""
    ends = monotonic() + within_s
    while True:
        made = _step(op)
        if made is None or made.error is not None:
            return made.error if made else None
        if made.ended or monotonic() >= ends:
            return None


def carry_all() -> int:
    """A step of each sweep that is due and that somebody has begun; returns how many were made."""
    using = _using()
    waiting = QueueSweep.objects.using(using).filter(
        state=SweepState.RUNNING, steps__gt=0, due_at__lte=timezone.now()
    )
    # What was never begun has frozen no set: it is not for a sweeper to begin it later.
    made = [_step(op) for op in waiting.order_by("due_at").values_list("op", flat=True)[:100]]
    _leave_the_lost(using)
    return sum(each is not None and each.error is None for each in made)


def run(stop: threading.Event) -> None:
    """Carry until `stop` is set; outages are waited out."""
    while not stop.is_set():
        try:
            made = carry_all()
        except (DatabaseError, InterfaceError) as error:
            made = 0
            logger.warning("sweeps of queues wait: %s", str(error).strip())
        close_old_connections()
        if not made:
            stop.wait(IDLE_S)


class _Made:
    """A step that was made, or failed."""

    def __init__(self, row: QueueSweep, error: CoordinationError | None) -> None:
        self.error = error
        self.ended = row.state != SweepState.RUNNING


def _step(op: str) -> _Made | None:
    """One step; None when the sweep has ended, or somebody else is at it."""
    using = _using()
    rows = QueueSweep.objects.using(using).filter(op=op, state=SweepState.RUNNING)
    found = rows.first()
    if found is None:
        return None
    repeatable = _repeatable(found.store)
    # Committed before the step: nobody shall take it for one that was never begun.
    if not repeatable and not rows.filter(stepping=False).update(
        stepping=True, stepped_at=timezone.now()
    ):
        return None
    with transaction.atomic(using=using):
        row = rows.select_for_update(skip_locked=True).first()
        if row is None:
            return None
        error = _make(row, repeatable=repeatable)
        hit("queue.sweep.step.after")
        row.stepping, row.stepped_at = False, timezone.now()
        if row.state != SweepState.RUNNING:
            row.ended_at = row.stepped_at
        row.save(using=using)
    return _Made(row, error)


def _make(row: QueueSweep, *, repeatable: bool) -> CoordinationError | None:
    size = min(STEP, row.at_most - row.done)
    try:
        found = _swept(row, size)
    except CoordinationError as error:
        _hold_up(row, error, repeatable=repeatable)
        return error
    row.done, row.steps, row.cursor = row.done + found.done, row.steps + 1, found.cursor
    row.error, row.failures, row.due_at = "", 0, timezone.now()
    if found.cursor is None or row.done >= row.at_most:
        row.state = SweepState.DONE
    return None


def _swept(row: QueueSweep, size: int) -> Swept:
    """Ask the store for the step."""
    store = queue_store(row.store)
    queue = declared(store, row.queue, {})
    op, said = part(row.op, row.steps), {"actor": row.actor, "reason": row.reason}
    if row.verb == Verb.PURGE:
        return store.purge(queue, op=op, limit=size, cursor=row.cursor, said=said)
    if row.verb == Verb.MOVE:
        to = declared(store, row.to, {})
        return store.move(queue, to, op=op, limit=size, cursor=row.cursor, said=said)
    assert queue.dead_letter is not None
    letters = declared(store, queue.dead_letter, {})
    return store.move(
        letters, queue, op=op, limit=size, cursor=row.cursor, died_in=row.queue, said=said
    )


def _hold_up(row: QueueSweep, error: CoordinationError, *, repeatable: bool) -> None:
    """It waits, or cannot go on; a first step that failed has frozen nothing."""
    row.error, row.failures = f"{error.code}: {error}"[:ERROR_LENGTH_MAX], row.failures + 1
    waits = isinstance(error, StoreUnavailable | OutcomeUnknown | QueueFull)
    pause_ms = backoff_ms(
        row.failures,
        base_ms=PAUSE_MS,
        cap_ms=PAUSE_MS_MAX,
        uniform=random(),  # noqa: S311  spreads retries; nothing is secured by it
    )
    row.due_at = timezone.now() + timedelta(milliseconds=pause_ms)
    if error.applied is None and (row.steps == 0 or not repeatable):
        row.state = SweepState.STOPPED
    elif row.steps == 0 or not waits:
        row.state = SweepState.FAILED


def _leave_the_lost(using: str) -> None:
    """Stop those whose step nobody will hear of; who is at it has the row locked."""
    lost = QueueSweep.objects.using(using).filter(
        state=SweepState.RUNNING, stepping=True, stepped_at__lt=timezone.now() - LOST_AFTER
    )
    with transaction.atomic(using=using):
        ops = list(lost.select_for_update(skip_locked=True).values_list("op", flat=True))
        lost.filter(op__in=ops).update(
            state=SweepState.STOPPED,
            stepping=False,
            ended_at=timezone.now(),
            error=DIED.format(size=STEP),
        )


def stop(op: str, *, actor: str) -> bool:
    """Make no more steps of it; False when it has ended already."""
    return _turn(
        op,
        SweepState.RUNNING,
        state=SweepState.STOPPED,
        ended_at=timezone.now(),
        ended_by=actor,
        error="",
    )


def resume(op: str) -> bool:
    """Let one that was stopped go on within its set; False when there is none."""
    return _turn(
        op,
        SweepState.STOPPED,
        state=SweepState.RUNNING,
        ended_at=None,
        ended_by="",
        error="",
        failures=0,
        due_at=timezone.now(),
    )


def _turn(op: str, before: SweepState, **changed: object) -> bool:
    # Waits for a step that is under way, which would write its own state over this one.
    return bool(QueueSweep.objects.using(_using()).filter(op=op, state=before).update(**changed))


def _repeatable(alias: str) -> bool:
    try:
        store: QueueStore = queue_store(alias)
    except CoordinationError:
        return True  # the step itself will say what is wrong
    return Capability.FROZEN in store.capabilities


def _using() -> str:
    return conf.current().transactions.using
