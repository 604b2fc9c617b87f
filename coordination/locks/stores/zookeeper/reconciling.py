"""Telling the log what nobody was there to tell: claims that went with their session.

ZooKeeper removes the ephemeral nodes of a session that ended, and records nothing. So the log is
compared with the tree: a grant that the log knows no end of, and that has no node, has ended.
"""

from collections.abc import Sequence

from coordination.connections.zookeeper_errors import ZooKeeperRefused
from coordination.connections.zookeeper_requests import Children
from coordination.locks.stores.zookeeper import line as lines
from coordination.locks.stores.zookeeper.calls import End, remembering
from coordination.locks.stores.zookeeper.events import Event, readable
from coordination.locks.stores.zookeeper.shared import Shared
from coordination.locks.stores.zookeeper.turn import Turn
from coordination.locks.types import KEPT_MS, Resource

BEGIN = frozenset({"lock.granted", "lock.waiting", "lock.handed"})
EVENTS = 200
BATCH = 100
END = frozenset({"lock.released", "lock.expired", "lock.gave_up", "lock.forced"})


class Reconciling:
    """What the log says is there, as far as it was read."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._position = -1
        self._open: dict[tuple[Resource, str], Event] = {}

    def reconcile(self) -> int:
        """Record the end of what is gone; how many that were.

        Raises StoreUnavailable, OutcomeUnknown; what was read and told so far is remembered.
        """
        if self._shared.journal.last(self._shared.turn()) < self._position:
            self._position = -1  # another ZooKeeper, or one that lost its disks
            self._open.clear()
        while self._read_on():
            pass
        begun, told = list(self._open.values()), 0
        for at in range(0, len(begun), BATCH):
            turn = self._shared.turn()
            for event in self._gone(turn, begun[at : at + BATCH]):
                ended = (event.resource, event.id, event.token, event.fields["owner"])
                told += tell_end(self._shared, turn, *ended)
        return told

    def _gone(self, turn: Turn, begun: Sequence[Event]) -> list[Event]:
        """Those of whose claims nothing is there."""
        tree = self._shared.tree
        replies = turn.ask(*(Children(tree.name(event.resource)) for event in begun))
        found = [
            lines.listed(self._shared, event.resource, reply)
            for event, reply in zip(begun, replies, strict=True)
        ]
        return [
            event
            for event, line in zip(begun, found, strict=True)
            if line is None or line.index(event.id) is None
        ]

    def _read_on(self) -> bool:
        """Whether there was more to read."""
        turn = self._shared.turn()
        entries = self._shared.journal.entries(turn, after=self._position, limit=EVENTS)
        for position, data, stat in entries:
            self._position = position
            event = readable(position, data, stat)
            if event is None:
                continue
            if event.kind in BEGIN:
                self._open[event.resource, event.id] = event
            elif event.kind in END:
                self._open.pop((event.resource, event.id), None)
        return bool(entries)


def tell_end(
    shared: Shared, turn: Turn, resource: Resource, id_: str, token: int | None, owner: str
) -> bool:
    """Record the end of a grant once: its call is remembered from then on.

    That of a waiter, who has no token, is not, as he may come again with his call.
    """
    granted = token is not None
    call = remembering(shared.tree.call(id_), End.EXPIRED, kept_ms=KEPT_MS)
    kind = "lock.expired" if granted else "lock.gave_up"
    told = {"token": token, "owner": owner, "reason": "session ended"}
    try:
        shared.journal.commit(
            turn,
            lambda log: (
                *((call,) if granted else ()),
                shared.journal.event(log, kind, resource, id_, **told),
            ),
        )
    except ZooKeeperRefused as refused:
        if refused.word != "NodeExists":
            raise
        return False
    if granted:
        shared.forget_call_in(id_, KEPT_MS)
    return True
