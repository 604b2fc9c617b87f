"""Publishing with the commit of an open transaction: a row in it, relayed afterwards."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from django.db import connections, transaction

from coordination.exceptions import NotSupportedByStore
from coordination.queues.outbox import relaying
from coordination.queues.outbox.tables import OutboxMessage
from coordination.queues.store import QueueStore
from coordination.queues.types import Outgoing


def write(
    name: str, given: Mapping[str, Any], batch: Sequence[Outgoing], *, store: QueueStore, using: str
) -> list[str]:
    """Publish with the commit of `using`; returns the ids of the messages.

    The same call made again in another transaction (its op id was given) writes nothing new. Raises
    NotSupportedByStore when the database has no table for it.
    """
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
            message=each.id,
            store=store.alias,
            queue=name,
            group=each.group,
            given=dict(given),
            outgoing=asdict(each),
        )
        for each in batch
    ]
    OutboxMessage.objects.using(using).bulk_create(rows, ignore_conflicts=True)
    ids = [each.id for each in batch]
    # What it cannot relay now, `sweep` will.
    transaction.on_commit(partial(relaying.relay, using, ids), using=using, robust=True)
    return ids


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
