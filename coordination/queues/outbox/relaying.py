"""Bringing messages from outboxes to their queues, each until its store has confirmed it.

A publication is one call with the op that its caller made, so whoever is killed between publishing
it and deleting its rows, or relays it together with somebody else, publishes it once.
"""

import logging
import threading
from collections.abc import Iterable, Sequence
from datetime import timedelta
from random import random

from django.db import DatabaseError, InterfaceError, close_old_connections, connections, transaction
from django.db.models import BigIntegerField, Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce, Now

from coordination import conf
from coordination.exceptions import (
    CoordinationError,
    OutcomeUnknown,
    QueuePaused,
    StoreUnavailable,
    Unroutable,
)
from coordination.failpoints import hit
from coordination.kernel.backoff import backoff_ms
from coordination.queues.declared import declared
from coordination.queues.outbox.tables import OutboxMessage
from coordination.queues.sending import send
from coordination.queues.stores import queue_store
from coordination.queues.types import Outgoing

logger = logging.getLogger(__name__)

BATCH = 100
"""Publications of one transaction."""
ROUNDS_MAX = 10
WHOLE = ""
"""In the place of a queue's name: all of its store."""
IDLE_S = 0.5
PAUSE_MS, PAUSE_MS_MAX = 1_000, 60_000
ERROR_LENGTH_MAX = 500


def relay(using: str, op: str | None = None) -> int:
    """Relay what is due, or this publication if it is; returns how many messages were confirmed.

    What fails stays, with its error, and is due again after a growing pause.
    """
    if op is None:
        return _relay_some(using, _due(using))
    rows = OutboxMessage.objects.using(using)
    mine = rows.filter(op=op).exclude(group="")
    groups = {(row.store, row.queue, row.group) for row in mine.only("store", "queue", "group")}
    if not groups:
        return _relay_some(using, _due(using).filter(op=op))
    return _relay_groups(using, groups)


def _relay_groups(using: str, groups: Iterable[tuple[str, str, str]]) -> int:
    """Relay what is due in these groups, in order.

    Also what is behind: its publisher left it to us if it found something locked before it.
    """
    of_groups = Q()
    for store, queue, group in groups:
        of_groups |= Q(store=store, queue=queue, group=group)
    ops = OutboxMessage.objects.using(using).filter(of_groups).values("op")
    relayed = 0
    for _ in range(ROUNDS_MAX):
        more = _relay_some(using, _due(using).filter(op__in=ops))
        relayed += more
        if not more:
            break
    return relayed


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


def _relay_some(using: str, publications: QuerySet[OutboxMessage]) -> int:
    """Relay the first of these, each as one call; returns how many messages were confirmed."""
    if connections[using].features.has_select_for_update_skip_locked:
        publications = publications.select_for_update(skip_locked=True)
    done: list[str] = []
    relayed = 0
    with transaction.atomic(using=using):
        shut: set[tuple[str, str]] = set()
        for first in publications.order_by("id")[:BATCH]:
            if shut & {(first.store, WHOLE), (first.store, first.queue)}:
                continue
            rows = _rows_of(first, using=using)
            if _is_behind(rows, done, using=using):
                continue
            try:
                _publish(rows)
            except CoordinationError as error:
                shut |= _put_off(first, error, using=using)
            else:
                done.append(first.op)
                relayed += len(rows)
        hit("outbox.publish.after")
        OutboxMessage.objects.using(using).filter(op__in=done).delete()
    return relayed


def _due(using: str) -> QuerySet[OutboxMessage]:
    """First rows of publications that are due, but for those behind one that was put off."""
    rows = OutboxMessage.objects.using(using)
    put_off = _before(rows, _stands(OuterRef("first"), OuterRef("id"))).filter(
        store=OuterRef("store"),
        queue=OuterRef("queue"),
        group=OuterRef("group"),
        due_at__gt=Now(),
    )
    held_back = rows.filter(op=OuterRef("op")).exclude(group="").filter(Exists(put_off))
    # By the database's clock alone: it wrote when they are due.
    return rows.filter(first=None, due_at__lte=Now()).filter(~Exists(held_back))


def _before(rows: QuerySet[OutboxMessage], first: int | Coalesce) -> QuerySet[OutboxMessage]:
    """Rows of publications before the one with this first row."""
    return rows.alias(stands=_stands("first", "id")).filter(stands__lt=first)


def _stands(first: str | OuterRef, id_: str | OuterRef) -> Coalesce:
    """Where the publication of a row stands among others: the id of its first row."""
    return Coalesce(first, id_, output_field=BigIntegerField())


def _rows_of(first: OutboxMessage, *, using: str) -> list[OutboxMessage]:
    if first.size == 1:
        return [first]
    return list(OutboxMessage.objects.using(using).filter(op=first.op).order_by("number"))


def _is_behind(rows: Sequence[OutboxMessage], done: Sequence[str], *, using: str) -> bool:
    """Whether a message of one of its groups was committed before it and is not relayed yet.

    Somebody else may be relaying that just now, or have died before he did.
    """
    groups = {row.group for row in rows} - {""}
    if not groups:
        return False
    first = rows[0]
    of_groups = OutboxMessage.objects.using(using).filter(
        store=first.store, queue=first.queue, group__in=groups
    )
    return _before(of_groups, first.id).exclude(op__in=done).exists()


def _publish(rows: Sequence[OutboxMessage]) -> None:
    first = rows[0]
    store = queue_store(first.store)
    queue = declared(store, first.queue, first.given)
    batch = [Outgoing(**row.outgoing) for row in rows]
    kept_ms = conf.current().op_id_ttl_ms
    send(store, queue, batch, op=first.op, kept_ms=kept_ms, content=first.content)


def _put_off(first: OutboxMessage, error: CoordinationError, *, using: str) -> set[tuple[str, str]]:
    """Let it be due later, and all that would fail as well: others shall have their turn.

    Returns the store and the queue, or WHOLE, that nothing can be published to for now.
    """
    pause_ms = backoff_ms(
        first.attempts + 1,
        base_ms=PAUSE_MS,
        cap_ms=PAUSE_MS_MAX,
        uniform=random(),  # noqa: S311  spreads retries; nothing is secured by it
    )
    logger.warning("message %s stays in the outbox of %s: %s", first.message, using, error)
    due_at = Now() + timedelta(milliseconds=pause_ms)
    said = f"{error.code}: {error}"[:ERROR_LENGTH_MAX]
    rows = OutboxMessage.objects.using(using)
    rows.filter(op=first.op).update(attempts=first.attempts + 1, error=said, due_at=due_at)
    others = rows.filter(first=None, store=first.store, due_at__lte=Now())
    if isinstance(error, StoreUnavailable | OutcomeUnknown):
        shut = (first.store, WHOLE)
    elif isinstance(error, QueuePaused | Unroutable):
        shut = (first.store, first.queue)
        others = others.filter(queue=first.queue)
    else:
        return set()
    if connections[using].features.has_select_for_update_skip_locked:
        # Those that somebody else has in hand he puts off himself.
        others = others.select_for_update(skip_locked=True)
    rows.filter(op__in=others.values("op")).update(error=said, due_at=due_at)
    return {shut}
