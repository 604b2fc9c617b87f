"""The events of queues in SQLite: one shard, its positions the ids of the table's rows."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping

import django.db
from django.db import connections, transaction

from coordination.exceptions import StoreUnavailable
from coordination.kernel.settings import StoreSettings
from coordination.queues.events import QueueEvent
from coordination.queues.foreign import Page, Recorded
from coordination.queues.types import moment

SHARD = 0

FROM = """
SELECT id, kind, name, at_us, node, data FROM concord_queue_event
WHERE id >= %s ORDER BY id LIMIT %s
"""
FIRST = "SELECT min(id) FROM concord_queue_event"

_Row = tuple[int, str, str, int, str, str]


class SqliteQueueEvents:
    """Events of the queues of one SQLite store; see `coordination.queues.foreign`.

    It only reads, in a transaction that keeps nobody from writing.
    """

    shards = 1

    def __init__(self, settings: StoreSettings) -> None:
        self.alias = settings.alias
        self._using = settings.using

    def read(self, after: Mapping[int, int], *, limit: int) -> Mapping[int, Page]:
        """Events from the given position on, in one transaction."""
        try:
            # What is read first decides what the second sees.
            with transaction.atomic(using=self._using), connections[self._using].cursor() as cursor:
                cursor.execute(FROM, (after[SHARD], limit + 1))
                rows: list[_Row] = cursor.fetchall()
                cursor.execute(FIRST)
                first = cursor.fetchone()[0]
        except django.db.DatabaseError as error:
            raise StoreUnavailable(
                f"Store {self.alias!r} in database {self._using!r} cannot be read: {error}.",
                store=self.alias,
                reason=str(error),
            ) from error
        page = Page(
            entries=[_recorded(row) for row in rows],
            begins=first in (None, 1),
            more=len(rows) > limit,
        )
        return {SHARD: page}


def _recorded(row: _Row) -> Recorded:
    return Recorded(
        position=row[0],
        print=f"{zlib.crc32(json.dumps(row).encode()):08x}",
        event=_event(row),
    )


def _event(row: _Row) -> QueueEvent | None:
    _id, what, queue, at_us, node, packed = row
    try:
        moment(at_us)
        data = json.loads(packed)
        op = str(data.pop("op", ""))
    except (ValueError, OverflowError, TypeError, AttributeError):
        return None
    return QueueEvent(what=what, queue=queue, at_us=at_us, node=node, op=op, version=0, data=data)
