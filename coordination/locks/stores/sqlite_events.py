"""The events of locks in SQLite: one shard, its positions those of the table."""

from __future__ import annotations

import json
import sqlite3
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from coordination import registry
from coordination.connections.sqlite import DEADLINE_MS, Sidecar
from coordination.kernel.settings import StoreSettings
from coordination.locks.events import LockEvent
from coordination.locks.foreign import Page, Recorded, Snapshot
from coordination.locks.stores.sqlite import APPLICATION
from coordination.locks.stores.sqlite_turn import OF_ONE, SCHEMA, claim_of
from coordination.locks.types import Kind, LockInfo, Resource, State, moment

SHARD = 0
OF_THE_ASKER = ("lock.granted", "lock.waiting")
"""Told by the process that they befall."""

FROM = """
SELECT position, kind, object, name, at_us, node, data FROM event
WHERE position >= ? ORDER BY position LIMIT ?
"""
FIRST = "SELECT min(position) FROM event"
LAST = "SELECT coalesce(max(position), 0) FROM event"
LIVE = "SELECT DISTINCT kind, name FROM claim"

_Row = tuple[int, str, str, str, int, str, str]


class SqliteLockEvents:
    """Events of the locks of one SQLite store; see `coordination.locks.foreign.LockEventSource`.

    It reads as another process does, so that nobody who takes a lock waits for it.
    """

    shards = 1

    def __init__(self, settings: StoreSettings) -> None:
        options: Mapping[str, Any] = settings.options
        self.alias = settings.alias
        self._deadline_ms: int = options.get("deadline_ms", DEADLINE_MS)
        place = partial(registry.sidecar_path, settings)
        self._sidecar = Sidecar(self.alias, place, SCHEMA, application=APPLICATION)

    def shard_of(self, _resource: Resource) -> int:
        """There is one."""
        return SHARD

    def read(self, after: Mapping[int, int], *, limit: int) -> Mapping[int, Page]:
        """Events from the given position on, in one transaction."""
        with self._sidecar.transaction(self._deadline_ms, reads=True) as db:
            rows = db.execute(FROM, (after[SHARD], limit + 1)).fetchall()
            ((first,),) = db.execute(FIRST)
        page = Page(
            entries=[_recorded(row) for row in rows],
            begins=first in (None, 1),
            more=len(rows) > limit,
        )
        return {SHARD: page}

    def live(self) -> list[Resource]:
        """Every resource with a claim."""
        with self._sidecar.transaction(self._deadline_ms, reads=True) as db:
            rows = db.execute(LIVE).fetchall()
        return [Resource(Kind(kind), name) for kind, name in rows if kind in set(Kind)]

    def snapshots(self, resources: Sequence[Resource]) -> list[Snapshot]:
        """How resources stand, all at one moment."""
        found: list[Snapshot] = []
        with self._sidecar.transaction(self._deadline_ms, reads=True) as db:
            ((last,),) = db.execute(LAST)
            for each in resources:
                with suppress(ValueError):  # a later version of Concord wrote it
                    found.append(Snapshot(position=last, info=self._info(db, each)))
        return found

    def _info(self, db: sqlite3.Connection, resource: Resource) -> LockInfo:
        rows = db.execute(OF_ONE, (resource.kind.value, resource.name))
        claims = [claim_of(row).seen() for row in rows]
        holders = [each for each in claims if each.state is not State.WAITING]
        return LockInfo(
            resource=resource,
            store=self.alias,
            at=moment(time.time_ns() // 1_000),
            holders=tuple(sorted(holders, key=lambda each: each.token or 0)),
            waiters=tuple(each for each in claims if each.state is State.WAITING),
        )


def _recorded(row: _Row) -> Recorded:
    return Recorded(
        position=row[0],
        print=f"{zlib.crc32(json.dumps(row).encode()):08x}",
        event=_event(row),
    )


def _event(row: _Row) -> LockEvent | None:
    _position, what, kind, name, at_us, node, packed = row
    try:
        moment(at_us)
        data = json.loads(packed)
        if what in OF_THE_ASKER:
            data["node"] = node
        return LockEvent(
            what=what,
            resource=Resource(Kind(kind), name),
            at_us=at_us,
            node=node,
            id=str(data["id"]),
            token=int(data.get("token") or 0),
            data=data,
        )
    except (ValueError, OverflowError, TypeError, KeyError, AttributeError):
        return None
