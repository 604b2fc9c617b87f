"""Bringing messages from outboxes to their queues, each until its store has confirmed it.

A message is published under its own id as op id, so whoever is killed between publishing it and
deleting its row, or relays it together with somebody else, publishes it once.
"""

import logging
import threading
from collections.abc import Sequence
from datetime import timedelta
from random import random

from django.db import DatabaseError, InterfaceError, close_old_connections, connections, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from coordination import conf
from coordination.exceptions import CoordinationError, OutcomeUnknown, StoreUnavailable
from coordination.failpoints import hit
from coordination.kernel.backoff import backoff_ms
from coordination.queues.declared import declared
from coordination.queues.outbox.tables import OutboxMessage
from coordination.queues.sending import send
from coordination.queues.stores import queue_store
from coordination.queues.types import Outgoing

logger = logging.getLogger(__name__)

BATCH = 100
IDLE_S = 0.5
PAUSE_MS, PAUSE_MS_MAX = 1_000, 60_000
ERROR_LENGTH_MAX = 500


def relay(using: str, messages: Sequence[str] | None = None) -> int:
    """Relay what is due, or these messages if they are; returns how many were confirmed.

    What fails stays, with its error, and is due again after a growing pause.
    """
    if messages is None:
        return _relay_some(using, None)
    parts = [messages[start : start + BATCH] for start in range(0, len(messages), BATCH)]
    return sum(_relay_some(using, part) for part in parts)


def relay_all() -> int:
    """Relay what is due in every database that has an outbox; what fails is logged."""
    from coordination.queues.outbox.writing import has_outbox

    relayed = 0
    for using in connections.settings:
        try:
            if has_outbox(using):
                relayed += relay(using)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("outbox of %s: %s", using, str(error).strip())
    return relayed


def run(stop: threading.Event) -> None:
    """Relay until `stop` is set; outages are waited out."""
    while not stop.is_set():
        relayed = relay_all()
        close_old_connections()
        if relayed < BATCH:
            stop.wait(IDLE_S)


def _relay_some(using: str, messages: Sequence[str] | None) -> int:
    done: list[int] = []
    with transaction.atomic(using=using):
        silent: set[str] = set()
        stuck: set[tuple[str, str, str]] = set()
        for row in _due(using, messages):
            place = (row.store, row.queue, row.group)
            if row.store in silent or place in stuck:
                continue
            try:
                _publish(row)
            except CoordinationError as error:
                if row.group:
                    stuck.add(place)
                if isinstance(error, StoreUnavailable | OutcomeUnknown):
                    silent.add(row.store)
                _put_off(row, error, using=using)
            else:
                done.append(row.id)
        hit("outbox.publish.after")
        OutboxMessage.objects.using(using).filter(id__in=done).delete()
    return len(done)


def _due(using: str, messages: Sequence[str] | None) -> Sequence[OutboxMessage]:
    every = OutboxMessage.objects.using(using)
    # A group keeps its order: those behind one that was put off wait as long.
    put_off = every.filter(
        id__lt=OuterRef("id"),
        store=OuterRef("store"),
        queue=OuterRef("queue"),
        group=OuterRef("group"),
        attempts__gt=0,
    )
    rows = every.order_by("id")
    if messages is None:
        rows = rows.filter(due_at__lte=timezone.now())
        put_off = put_off.filter(due_at__gt=timezone.now())
    else:
        rows = rows.filter(message__in=messages)
    rows = rows.filter(Q(group="") | ~Exists(put_off))
    if connections[using].features.has_select_for_update_skip_locked:
        rows = rows.select_for_update(skip_locked=True)
    return list(rows[:BATCH])


def _publish(row: OutboxMessage) -> None:
    store = queue_store(row.store)
    queue = declared(store, row.queue, row.given)
    kept_ms = conf.current().op_id_ttl_ms
    send(store, queue, [Outgoing(**row.outgoing)], op=row.message, kept_ms=kept_ms)


def _put_off(row: OutboxMessage, error: CoordinationError, *, using: str) -> None:
    pause_ms = backoff_ms(
        row.attempts + 1,
        base_ms=PAUSE_MS,
        cap_ms=PAUSE_MS_MAX,
        uniform=random(),  # noqa: S311  spreads retries; nothing is secured by it
    )
    logger.warning("message %s stays in the outbox of %s: %s", row.message, using, error)
    OutboxMessage.objects.using(using).filter(id=row.id).update(
        attempts=row.attempts + 1,
        error=f"{error.code}: {error}"[:ERROR_LENGTH_MAX],
        due_at=timezone.now() + timedelta(milliseconds=pause_ms),
    )
