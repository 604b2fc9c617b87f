"""Who an acceptor in ZooKeeper is: a node that names its incarnation, and one of that name.

<root>/concord/consensus/seat                the incarnation
<root>/concord/consensus/seats/<incarnation> view and floor; each commit checks its version

A node of one fixed path would not do: made anew it begins with version 0 again, and a process that
had read the former one would take its promises for the later's.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from coordination.connections.zookeeper import ZooKeeperStore
from coordination.connections.zookeeper_errors import ZooKeeperRefused
from coordination.connections.zookeeper_requests import (
    Check,
    Commit,
    Create,
    Delete,
    Get,
    Sync,
    Write,
)
from coordination.consensus.zookeeper_tree import Ask, make_parents
from coordination.exceptions import StoreUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitting:
    """What is written of an incarnation."""

    incarnation: str
    version: int
    view: str
    floor: int = 0

    def packed(self) -> bytes:
        """As it stands in the node."""
        return json.dumps([self.version, self.view, self.floor]).encode()


class SeatRead(NamedTuple):
    """It as it was read, with what to check that it is still so."""

    sitting: Sitting
    check: Check


class SeatNode:
    """The nodes of one acceptor's seat. What was read last is remembered."""

    def __init__(self, top: str) -> None:
        self._pointer = f"{top}/seat"
        self.known: SeatRead | None = None

    def read(self, ask: Ask) -> SeatRead | None:
        """The seat, as it is known or found; None when it was never born."""
        if (known := self.known) is not None:
            return known
        while True:
            _, pointed = ask(Sync(self._pointer), Get(self._pointer))
            if isinstance(pointed, ZooKeeperRefused):
                return None
            incarnation = pointed[0].decode()
            path = self._path(incarnation)
            (found,) = ask(Get(path))
            if not isinstance(found, ZooKeeperRefused):
                break
        data, stat = found
        version, view, floor = json.loads(data)
        sitting = Sitting(incarnation=incarnation, version=version, view=view, floor=floor)
        self.known = known = SeatRead(sitting, Check(path, stat.version))
        return known

    def make(self, sitting: Sitting, ask: Ask) -> bool:
        """Let it be born. False: it is already."""
        path = self._path(sitting.incarnation)
        make_parents(path, ask)
        pointer = Create(path=self._pointer, data=sitting.incarnation.encode())
        (made,) = ask(Commit((pointer, Create(path=path, data=sitting.packed()))))
        self.known = None
        return not isinstance(made, ZooKeeperRefused)

    def remove(self, ask: Ask) -> None:
        """Let nobody have been born here."""
        self.known = None
        if (read := self.read(ask)) is not None:
            ask(Commit((Delete(self._pointer), Delete(read.check.path))))
        self.known = None

    def change(self, incarnation: str, changed: Callable[[Sitting], Sitting], ask: Ask) -> bool:
        """Write what `changed` makes of it, if it is the incarnation that is meant."""
        while True:
            self.known = None
            read = self.read(ask)
            if read is None or read.sitting.incarnation != incarnation:
                return False
            after = changed(read.sitting)
            if after == read.sitting:
                return True
            (done,) = ask(Commit((Write(read.check.path, after.packed(), read.check.version),)))
            self.known = None
            if not isinstance(done, ZooKeeperRefused):
                return True

    def _path(self, incarnation: str) -> str:
        return f"{self._pointer}s/{incarnation}"


class Within:
    """Requests that share one deadline."""

    def __init__(self, store: ZooKeeperStore, deadline_ms: int) -> None:
        self._store = store
        self._until = time.monotonic() + deadline_ms / 1000
        self._began = False

    def __call__(self, *requests: Any) -> list[Any]:
        """Their replies. Raises as `ZooKeeperStore.ask`."""
        left_ms = int((self._until - time.monotonic()) * 1000)
        if left_ms <= 0:
            raise StoreUnavailable(
                f"ZooKeeper store {self._store.alias!r}: it took too long.",
                store=self._store.alias,
            )
        # What has begun goes on only while the store is in use: nobody would close it again.
        replies = self._store.ask(*requests, deadline_ms=left_ms, opens=not self._began)
        self._began = True
        return replies
