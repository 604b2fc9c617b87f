"""The observer's statements against the events and the cursor of one database."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from coordination.connections import database
from coordination.connections.database import Statement
from coordination.kernel.events import Event
from coordination.observing.event_rows import EVENT_COLUMNS, event_of
from coordination.observing.fences import moved, run_fenced
from coordination.observing.sequencing import Pending

CURSOR = "feed"
BATCH_EVENTS_MAX = 500

_FIELDS = f"id, seq, {EVENT_COLUMNS}"

WHERE_WE_ARE = "SELECT seq, epoch, clock_timestamp() FROM concord_cursor WHERE name = %s"
BEGIN = """
INSERT INTO concord_cursor (name, seq, epoch) VALUES (%s, 0, %s) ON CONFLICT (name) DO NOTHING
"""
PENDING = f"""
SELECT {_FIELDS} FROM concord_event WHERE seq IS NULL AND id > %s ORDER BY id LIMIT %s
"""  # noqa: S608

SEQUENCE = """
UPDATE concord_event e SET seq = x.seq
FROM unnest(%s::bigint[], %s::bigint[]) AS x(id, seq) WHERE e.id = x.id
"""
# Written at most once a second, however many observers stand by.
HEARTBEAT = """
UPDATE concord_cursor SET updated_at = clock_timestamp()
WHERE name = %s AND updated_at < clock_timestamp() - interval '1 second'
"""
BETWEEN = f"""
SELECT {_FIELDS} FROM concord_event WHERE seq > %s AND seq <= %s ORDER BY seq LIMIT %s
"""  # noqa: S608
HISTORY = f"""
SELECT {_FIELDS} FROM concord_event
WHERE object = %s AND name = %s AND (seq IS NOT NULL OR id = ANY(%s::bigint[])) ORDER BY version
"""  # noqa: S608
SEQUENCED = f"""
SELECT {_FIELDS} FROM concord_event
WHERE object = %s AND (name, version) > (%s, %s) AND seq IS NOT NULL
ORDER BY object, name, version LIMIT %s
"""  # noqa: S608
NEW_EPOCH = """
UPDATE concord_cursor SET epoch = %s WHERE name = %s AND epoch = %s RETURNING seq
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far the feed goes, its epoch, and the database's clock."""

    seq: int
    epoch: str
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequenced:
    """An event with its feed position."""

    seq: int
    id: int
    event: Event


class Journal:
    """Events and cursor of the database alias `using`; errors are those of `database.run`."""

    def __init__(self, using: str) -> None:
        self.using = using

    def place(self) -> Place:
        """Where the feed stands; begins it when it never ran."""
        return self.pending(limit=0)[0]

    def pending(
        self, *, after_id: int = 0, limit: int = BATCH_EVENTS_MAX
    ) -> tuple[Place, list[Pending]]:
        """Where the feed stands and, read after that, events that have no place in it."""
        cursor, events = database.run(
            self.using, Statement(WHERE_WE_ARE, (CURSOR,)), Statement(PENDING, (after_id, limit))
        )
        if not cursor.rows:
            database.run(self.using, Statement(BEGIN, (CURSOR, new_epoch())))
            return self.pending(after_id=after_id, limit=limit)
        seq, epoch, now = cursor.rows[0]
        found = [Pending(id=row[0], event=event_of(row)) for row in events.rows]
        return Place(seq=seq, epoch=epoch, now=now), found

    def commit(self, place: Place, ids: Sequence[int], *statements: Statement) -> None:
        """Give `ids` the positions after `place` and run `statements`, all or nothing.

        Raises Fenced when the feed is no longer at `place`.
        """
        last = place.seq + len(ids)
        seqs = list(range(place.seq + 1, last + 1))
        run_fenced(
            self.using,
            moved(CURSOR, before=place.seq, after=last),
            Statement(SEQUENCE, (list(ids), seqs)),
            *statements,
        )

    def between(self, after: int, until: int, *, limit: int) -> list[Sequenced]:
        """Events at positions in (`after`, `until`], in order."""
        rows = database.run(self.using, Statement(BETWEEN, (after, until, limit)))[0].rows
        return [_sequenced(row) for row in rows]

    def history(self, kind: str, name: str, ids: Sequence[int] = ()) -> list[Event]:
        """Sequenced events of one object, and those of `ids`, in version order."""
        statement = Statement(HISTORY, (kind, name, list(ids)))
        return [event_of(row) for row in database.run(self.using, statement)[0].rows]

    def sequenced(
        self, kind: str, after: tuple[str, int] = ("", 0), *, limit: int
    ) -> list[Sequenced]:
        """Sequenced events of all objects of a kind, by name and version, after the given one."""
        statement = Statement(SEQUENCED, (kind, *after, limit))
        return [_sequenced(row) for row in database.run(self.using, statement)[0].rows]

    def renew_epoch(self, old: str) -> Place:
        """Begin a new epoch, unless another observer has; returns where the feed stands then."""
        database.run(self.using, Statement(NEW_EPOCH, (new_epoch(), CURSOR, old)))
        return self.place()

    def heartbeat(self) -> None:
        """Say that an observer watches, though nothing happens."""
        database.run(self.using, Statement(HEARTBEAT, (CURSOR,)))


def new_epoch() -> str:
    """A name no other epoch has."""
    return secrets.token_hex(6)


def _sequenced(row: Sequence[Any]) -> Sequenced:
    return Sequenced(seq=row[1], id=row[0], event=event_of(row))
