"""The log of events, and the base of tokens: the one node that every change is checked against.

**Events** lie in segments, numbered by the server from 0. A segment that is long enough is closed
by a write to the log's node; whoever still has its former version is refused, so the events of a
closed segment are all there and can be counted. Positions thus have no gap and never overflow.

**A token** is a base plus the low half of the zxid of the write that granted it: the number of that
change among those of one leader (an epoch, the high half). Within an epoch it rises with every
change. The next leader counts from 1 again, so it needs a base above all tokens of the last one;
*one* more than the last base, or the clock alone, would not do when the clock was set back. So the
base of a new epoch is the greater of the leader's clock in microseconds, and the last base plus the
number of the last event of its epoch plus 1: a grant is recorded in its own step, so no token can
be greater than that. (2^32 more than the last base would do as well, but would move tokens 71
minutes ahead of the clock with every election; and an ensemble that lost its disks has only the
clock to begin from.) A grant whose step fell into an epoch that has no base yet gives no token: it
is made again.

`raise_tokens` writes a greater base. A grant checks the version of the log's node in its own step,
so from then on no token is counted from the former base, whoever remembered it.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from coordination.connections.zookeeper_errors import ZooKeeperRefused
from coordination.connections.zookeeper_requests import (
    Check,
    Children,
    Commit,
    Create,
    Delete,
    Get,
    Stat,
    Step,
    Sync,
    Write,
)
from coordination.locks.stores.zookeeper.claims import counter_of, epoch_of
from coordination.locks.stores.zookeeper.events import Event, event_of, packed_event
from coordination.locks.stores.zookeeper.paths import Tree
from coordination.locks.stores.zookeeper.turn import Turn
from coordination.locks.types import Resource

SEGMENT_EVENTS = 1_000
SEGMENTS_KEPT = 10
"""Besides the one that is written."""
BATCH = 100
COUNTER_MAX = 2**32 - 1

Entry = tuple[int, bytes, Stat]
"""Position of an event, and its node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What stands in the log's node."""

    epoch: int
    base: int
    segment: int = 0
    start: int = 0
    """Position of the first event of the segment."""
    closed: bool = False
    """Whether nothing may be written to the segment any more."""
    version: int = 0

    def packed(self) -> bytes:
        """As it stands in the node."""
        fields = asdict(self)
        del fields["version"]
        return json.dumps(fields).encode()


class Journal:
    """The log of one ZooKeeper, as this process knows it."""

    def __init__(self, tree: Tree, *, node: str, full: Callable[[], None]) -> None:
        """`node` signs the events; `full` is called when the segment should be closed."""
        self._tree = tree
        self._node = node
        self._full = full
        self._log: Log | None = None

    def forget(self) -> None:
        """Read it anew: it may not be the same ZooKeeper any more."""
        self._log = None

    def event(self, log: Log, kind: str, resource: Resource, id_: str, /, **fields: Any) -> Create:
        """The step that records a change."""
        data = packed_event(kind, resource, id_, node=self._node, **fields)
        return Create(path=f"{self._tree.segment(log.segment)}/", data=data, sequence=True)

    def granted(self, log: Log, resource: Resource, id_: str, /, **fields: Any) -> Create:
        """The step that records a grant; its token is known from the step's own number."""
        return self.event(
            *(log, "lock.granted", resource, id_), epoch=log.epoch, base=log.base, **fields
        )

    def commit(self, turn: Turn, steps_of: Callable[[Log], Sequence[Step]]) -> Sequence[Any]:
        """Apply steps, with their events, by the present log.

        Raises ZooKeeperRefused with the index among the steps; StoreUnavailable, OutcomeUnknown.
        """
        while True:
            (results,) = self.commit_each(turn, [steps_of])
            if results is None:
                continue
            if isinstance(results, ZooKeeperRefused):
                raise results
            return results

    def commit_each(
        self, turn: Turn, changes: Sequence[Callable[[Log], Sequence[Step]]]
    ) -> list[Sequence[Any] | ZooKeeperRefused | None]:
        """Apply several commits in one round trip, each for itself.

        None stands in the place of one to be tried again, as the log was written meanwhile.
        """
        log = self._log or self.load(turn)
        checked = Check(self._tree.log, log.version)
        replies = turn.ask(*(Commit((checked, *steps_of(log))) for steps_of in changes))
        return [self._judged(reply) for reply in replies]

    def _judged(self, reply: Any) -> Sequence[Any] | ZooKeeperRefused | None:
        if not isinstance(reply, ZooKeeperRefused):
            self._count(reply)
            results: Sequence[Any] = reply[1:]
            return results
        if reply.index == 0:
            self._log = None
            return None
        reply.index -= 1
        return reply

    def _count(self, results: Sequence[Any]) -> None:
        last = results[-1]
        if isinstance(last, str) and int(last[-10:]) >= SEGMENT_EVENTS:
            self._full()

    def load(self, turn: Turn) -> Log:
        """Read the log's node; make what is missing, open the next segment if one was closed."""
        while True:
            # This server may be behind the one that refused.
            _, found = turn.ask(Sync(self._tree.log), Get(self._tree.log))
            if isinstance(found, ZooKeeperRefused):
                self._found(turn)
                continue
            data, stat = found
            log = Log(**json.loads(data), version=stat.version)
            if not log.closed:
                self._log = log
                return log
            self._open_next(turn, log)

    def repair(self, turn: Turn) -> None:
        """Make what has to be there and is not."""
        turn.ask(*(Commit((Create(path=path),)) for path in self._tree.lasting))

    def _found(self, turn: Turn) -> None:
        """Begin in an empty tree: tokens begin with the leader's clock."""
        self.repair(turn)
        (stamp,) = turn.commit(Write(self._tree.clock, b""))
        (names, _) = turn.one(Children(self._tree.events))
        segment = max((int(name) + 1 for name in names), default=0)
        log = Log(epoch=epoch_of(stamp.mzxid), base=stamp.mtime_ms * 1000, segment=segment)
        # The log last: where it is, all the rest is.
        turn.ask(
            Commit(
                (
                    Create(path=self._tree.segment(segment), data=b"0"),
                    Create(path=self._tree.log, data=log.packed()),
                )
            )
        )

    def change(self, turn: Turn, changed: Callable[[Log], Log | None]) -> None:
        """Write the log's node; None leaves it as it is."""
        while True:
            log = self.load(turn)
            new = changed(log)
            if new is None:
                return
            (reply,) = turn.ask(Commit((Write(self._tree.log, new.packed(), log.version),)))
            self._log = None
            if not isinstance(reply, ZooKeeperRefused):
                return

    # Tokens

    def begin_epoch(self, turn: Turn, epoch: int) -> None:
        """Have a base for an epoch, above all tokens of those before."""

        def begun(log: Log) -> Log | None:
            if log.epoch == epoch:
                return None
            now_us = turn.now().at_least() * 1000
            last = log.base + self._last_counter(turn, log)
            return replace(log, epoch=epoch, base=max(now_us, last + 1))

        self.change(turn, begun)

    def raise_base(self, turn: Turn, above: int) -> None:
        """From now on every token is greater."""
        self.change(turn, lambda log: None if log.base > above else replace(log, base=above + 1))

    def highest_token(self, turn: Turn) -> int:
        """No token given so far is greater."""
        log = self.load(turn)
        _, stat = turn.one(Get(self._tree.segment(log.segment)))
        if epoch_of(stat.pzxid) == log.epoch:
            return log.base + counter_of(stat.pzxid)
        return log.base + self._last_counter(turn, log)

    def _last_counter(self, turn: Turn, log: Log) -> int:
        """The number, in the epoch of the log, of the last event that was recorded in it."""
        for segment in range(log.segment, max(-1, log.segment - SEGMENTS_KEPT), -1):
            for _, stat in self._newest_first(turn, segment):
                if epoch_of(stat.czxid) <= log.epoch:
                    return counter_of(stat.czxid) if epoch_of(stat.czxid) == log.epoch else 0
        return COUNTER_MAX if log.start else 0

    def _newest_first(self, turn: Turn, segment: int) -> Iterator[tuple[bytes, Stat]]:
        path = self._tree.segment(segment)
        (listed,) = turn.ask(Children(path))
        if isinstance(listed, ZooKeeperRefused):
            return
        names = sorted(listed[0], reverse=True)
        for at in range(0, len(names), BATCH):
            for found in turn.ask(*(Get(f"{path}/{name}") for name in names[at : at + BATCH])):
                if not isinstance(found, ZooKeeperRefused):
                    yield found

    # Segments

    def close_segment(self, turn: Turn) -> None:
        """Let events go to the next segment if this one is long enough."""
        log = self.load(turn)
        _, stat = turn.one(Get(self._tree.segment(log.segment)))
        if stat.children >= SEGMENT_EVENTS:
            self.change(
                turn,
                lambda now: replace(now, closed=True) if now.segment == log.segment else None,
            )
            self.load(turn)

    def _open_next(self, turn: Turn, log: Log) -> None:
        _, stat = turn.one(Get(self._tree.segment(log.segment)))
        # Nothing of a segment is removed while it is the present one, so its children are counted.
        start, segment = log.start + stat.children, log.segment + 1
        opened = replace(log, segment=segment, start=start, closed=False)
        turn.ask(
            Commit(
                (
                    Write(self._tree.log, opened.packed(), log.version),
                    Create(path=self._tree.segment(segment), data=str(start).encode()),
                )
            )
        )

    def trim(self, turn: Turn) -> None:
        """Remove the segments that are too old."""
        kept_from = self.load(turn).segment - SEGMENTS_KEPT
        segments, _ = turn.one(Children(self._tree.events))
        for segment in sorted(int(name) for name in segments):
            if segment >= kept_from:
                return
            path = self._tree.segment(segment)
            names, _ = turn.one(Children(path))
            for at in range(0, len(names), BATCH):
                gone = (Delete(f"{path}/{name}") for name in names[at : at + BATCH])
                turn.ask(Commit(tuple(gone)))
            turn.ask(Commit((Delete(path),)))

    def last(self, turn: Turn) -> int:
        """The position of the last event that was recorded before this call; -1: there is none."""
        log = self.load(turn)
        _, stat = turn.one(Get(self._tree.segment(log.segment)))
        return int(log.start + stat.children - 1)

    def events(self, turn: Turn, *, after: int, limit: int) -> list[Event]:
        """The first of what is kept of the log behind a position, in order."""
        return [event_of(*entry) for entry in self.entries(turn, after=after, limit=limit)]

    def entries(self, turn: Turn, *, after: int, limit: int) -> list[Entry]:
        """The same as it stands in the nodes; some may be missing among the oldest."""
        self.load(turn)
        segments, _ = turn.one(Children(self._tree.events))
        found: list[Entry] = []
        for segment in sorted(int(name) for name in segments):
            path = self._tree.segment(segment)
            segment_found, listed = turn.ask(Get(path), Children(path))
            if isinstance(listed, ZooKeeperRefused) or isinstance(segment_found, ZooKeeperRefused):
                continue  # trimmed meanwhile
            start = int(segment_found[0])
            news = sorted(name for name in listed[0] if start + int(name) > after)
            news = news[: limit - len(found)]
            for at in range(0, len(news), BATCH):
                batch = news[at : at + BATCH]
                replies = turn.ask(*(Get(f"{path}/{name}") for name in batch))
                for name, reply in zip(batch, replies, strict=True):
                    if not isinstance(reply, ZooKeeperRefused):  # trimmed meanwhile
                        found.append((start + int(name), *reply))
        return found
