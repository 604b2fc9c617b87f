"""The events of locks in ZooKeeper: one shard, its positions those of the log, counted from 1."""

from __future__ import annotations

import json
import logging
import time
import zlib
from collections.abc import Mapping, Sequence

from coordination.connections.zookeeper_requests import Stat
from coordination.exceptions import CoordinationError
from coordination.locks.events import LockEvent
from coordination.locks.foreign import Page, Recorded, Snapshot
from coordination.locks.stores.zookeeper.events import readable
from coordination.locks.stores.zookeeper.journal import Entry
from coordination.locks.stores.zookeeper.verbs import EVENTS_MAX, ZooKeeperLocks
from coordination.locks.types import LockInfo, Resource

logger = logging.getLogger(__name__)

SHARD = 0
RECONCILE_S = 1.0
"""How often the log is compared with the tree."""
RECONCILE_SHARE = 5
"""It pauses for so many times as long as it took, for there may be many claims."""
SNAPSHOT_TRIES = 10
OF_THE_ASKER = ("lock.granted", "lock.waiting")
"""Told by the process that they befall."""


class ZooKeeperLockEvents:
    """Events of the locks of a ZooKeeper; see `coordination.locks.foreign.LockEventSource`."""

    shards = 1

    def __init__(self, locks: ZooKeeperLocks) -> None:
        self.alias = locks.alias
        self._locks = locks
        self._reconcile_at = 0.0

    def shard_of(self, _resource: Resource) -> int:
        """There is one."""
        return SHARD

    def read(self, after: Mapping[int, int], *, limit: int) -> Mapping[int, Page]:
        """Events from the given position on."""
        position = after[SHARD]
        entries = self._locks.entries(after=max(-1, position - 2), limit=limit + 1)
        whole = behind_holes(entries)
        page = Page(
            entries=[_recorded(*entry) for entry in whole],
            # Nobody asks who has a position: then it is there, or events are missing anyhow.
            begins=position == 0 and (not whole or whole[0][0] == 0),
            more=len(entries) > limit,
        )
        self._reconcile()
        return {SHARD: page}

    def _reconcile(self) -> None:
        """Have the end recorded of what went with its session: that is read with the next page."""
        begun = time.monotonic()
        if begun < self._reconcile_at:
            return
        try:
            self._locks.reconcile()
        except CoordinationError as error:
            logger.info("%s: what went unsaid is looked for again soon: %s", self.alias, error)
        now = time.monotonic()
        self._reconcile_at = now + max(RECONCILE_S, RECONCILE_SHARE * (now - begun))

    def live(self) -> list[Resource]:
        """Every resource with a claim."""
        return self._locks.used()

    def snapshots(self, resources: Sequence[Resource]) -> list[Snapshot]:
        """How resources stand.

        A claim and its event come in one step, but a line cannot be read in one together with the
        log. So a line is read again until nothing was recorded of it meanwhile.
        """
        found: list[Snapshot] = []
        left = list(resources)
        for _ in range(SNAPSHOT_TRIES):
            if not left:
                break
            position = self._locks.last_position()
            infos = [self._locks.info_with_ended(each) for each in left]
            changed = self._changed(position)
            found += [_snapshot(position, each) for each in infos if each.resource not in changed]
            left = [each for each in left if each in changed]
        return found

    def _changed(self, position: int) -> set[Resource]:
        """Of what something was recorded behind a position."""
        changed: set[Resource] = set()
        while entries := self._locks.entries(after=position):
            events = [_event(*entry) for entry in entries]
            changed |= {each.resource for each in events if each is not None}
            position = entries[-1][0]
            if len(entries) < EVENTS_MAX:
                break
        return changed


def behind_holes(entries: Sequence[Entry]) -> Sequence[Entry]:
    """The entries behind the last that is missing: an old segment is not removed in one step."""
    begin = 0
    for at in range(1, len(entries)):
        if entries[at][0] != entries[at - 1][0] + 1:
            begin = at
    return entries[begin:]


def _snapshot(position: int, info: LockInfo) -> Snapshot:
    return Snapshot(position=position + 1, info=info)


def _recorded(position: int, data: bytes, stat: Stat) -> Recorded:
    stamp = f"{stat.czxid} {stat.ctime_ms} ".encode()
    return Recorded(
        position=position + 1,
        print=f"{zlib.crc32(stamp + data):08x}",
        event=_event(position, data, stat),
    )


def _event(position: int, data: bytes, stat: Stat) -> LockEvent | None:
    event = readable(position, data, stat)
    if event is None:
        return None
    told = dict(event.fields)
    try:
        if isinstance(told.get("metadata"), str):
            told["metadata"] = json.loads(told["metadata"])
    except ValueError:
        return None
    if event.kind in OF_THE_ASKER:
        told["node"] = event.node
    return LockEvent(
        what=_what(event.kind, event.token),
        resource=event.resource,
        at_us=stat.ctime_ms * 1_000,
        node=event.node,
        id=event.id,
        token=event.token or 0,
        data=told,
    )


def _what(kind: str, token: int | None) -> str:
    """A grant that fell into an epoch without a base is told to nobody before it is made again."""
    return "lock.handed" if kind == "lock.granted" and token is None else kind
