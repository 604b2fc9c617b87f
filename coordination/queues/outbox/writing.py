"""Publishing with the commit of an open transaction: a row in it, relayed afterwards."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import IntegrityError, connections, transaction

from coordination.exceptions import NotSupportedByStore
from coordination.queues import contents
from coordination.queues.outbox import relaying
from coordination.queues.outbox.tables import OutboxMessage
from coordination.queues.store import QueueStore
from coordination.queues.types import Outgoing


def write(
    told: tuple[str, Mapping[str, Any]],
    batch: Sequence[Outgoing],
    *,
    op: str,
    content: str,
    store: QueueStore,
    using: str,
) -> list[str]:
    """Publish with the commit of `using`; returns the ids of the messages.

    The same call made again in another transaction (its op id was given, so it has a `content`)
    writes nothing new. `told` is the queue's name and what was given of its declaration.

    Raises InvalidArgument when the call before said something else; NotSupportedByStore when the
    database has no table for it.
    """
    name, given = told
    if not has_outbox(using):
        raise NotSupportedByStore(
            f"Database {using!r} has no table concord_outbox for what is published inside its "
            "atomic(): name coordination.routers.CoordinationRouter in DATABASE_ROUTERS and run "
            f"manage.py migrate coordination --database={using}.",
            name=name,
            store=store.alias,
        )
    rows = [
        OutboxMessage(
            op=op,
            number=number,
            size=len(batch),
            content=content,
            message=each.id,
            store=store.alias,
            queue=name,
            group=each.group,
            given=dict(given),
            outgoing=each._asdict(),
        )
        for number, each in enumerate(batch)
    ]
    if _entered(rows[0], using=using):
        for row in rows[1:]:
            row.first = rows[0].id
        OutboxMessage.objects.using(using).bulk_create(rows[1:])

    # Not a partial: Django asks for the name of a hook that fails, and what is committed is
    # committed.
    def relay() -> None:
        relaying.relay(using, op)

    # What it cannot relay now, `sweep` will.
    transaction.on_commit(relay, using=using, robust=True)
    return [each.id for each in batch]


def _entered(row: OutboxMessage, *, using: str) -> bool:
    """Write the first row of a publication; False when the same publication is there already."""
    if not row.content:
        row.save(using=using, force_insert=True)
        return True
    while True:
        try:
            with transaction.atomic(using=using):
                row.save(using=using, force_insert=True)
        except IntegrityError:
            before = OutboxMessage.objects.using(using).filter(op=row.op, number=0).first()
            if before is None:
                continue  # it was relayed meanwhile; the queue's store will know the op
            if before.content != row.content:
                raise contents.other(queue=row.queue, store=row.store) from None
            return False
        return True


def has_outbox(using: str) -> bool:
    """Whether this database has the table. It is looked for until it is there."""
    place = (using, str(connections[using].settings_dict["NAME"]))
    if place not in _found:
        connection = connections[using]
        with connection.cursor() as cursor:
            tables = connection.introspection.table_names(cursor)
        if OutboxMessage._meta.db_table in tables:
            _found.add(place)
    return place in _found


_found: set[tuple[str, str]] = set()
