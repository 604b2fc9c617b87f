"""What the verbs of one store share: its connection and log, and the claims of this process."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from coordination.connections.zookeeper import ZooKeeperStore
from coordination.connections.zookeeper_errors import ZooKeeperRefused
from coordination.connections.zookeeper_requests import Changed, Children, Commit, Delete, Get
from coordination.locks.bells import Bells
from coordination.locks.stores.zookeeper.calls import call_of
from coordination.locks.stores.zookeeper.chores import Chores
from coordination.locks.stores.zookeeper.claims import Claim
from coordination.locks.stores.zookeeper.clock import LeaderClock
from coordination.locks.stores.zookeeper.journal import BATCH, Journal
from coordination.locks.stores.zookeeper.paths import Tree
from coordination.locks.stores.zookeeper.turn import Turn
from coordination.locks.types import Resource

CALLS_MAX = 100
"""How many are looked at with each segment of events."""
BUSY_S = 2.0
"""For how long a name that was not free is not taken for free."""


@dataclass(slots=True)
class Mine:
    """A claim of this process, as it last wrote or read it."""

    resource: Resource
    claim: Claim
    bells: Bells
    ends_at: float = 0.0
    """When it has run out, by the monotonic clock."""
    told: bool = False
    """Whether its caller was told that it has it."""

    refused: bool = False
    """Whether it was written by somebody else since."""
    watched: bool = False
    """Whether its own node is watched, for whoever hands it something."""
    touched: bool = False
    """Whether the next that is heard of its own node is what this process wrote."""

    def rang(self, event: Changed) -> None:
        """Something changed that its waiter waits for."""
        if event.path == self.claim.path:
            self.watched = False
        if self.touched and event.path in (self.claim.path, None):
            self.touched = False
            if event.path is not None:
                return
        self.bells.ring(self.claim.record.id)


class Shared:
    """Of one store; thread-safe."""

    def __init__(self, store: ZooKeeperStore, *, node: str) -> None:
        self.store = store
        self.tree = Tree(store.root)
        self.clock = LeaderClock()
        self.bells = Bells()
        self.chores = Chores()
        self.journal = Journal(self.tree, node=node, full=self._close_segment)
        self.start_afresh()

    def start_afresh(self) -> None:
        """Nothing of this process is in ZooKeeper, as in a forked child."""
        self._mutex = threading.Lock()
        self._mine: dict[str, Mine] = {}
        self._doubtful: set[str] = set()
        self._busy: dict[Resource, float] = {}
        self._calls: list[tuple[float, str]] = []
        self._overdue: dict[str, float] = {}
        self.chores.start_afresh()
        self.clock.forget()
        self.journal.forget()

    def session_ended(self) -> list[Mine]:
        """Forget all that this process had there; perhaps it is another ZooKeeper by now."""
        self.chores.clear()
        with self._mutex:
            gone = list(self._mine.values())
            for each in (self._mine, self._doubtful, self._busy, self._calls, self._overdue):
                each.clear()
        self.clock.forget()
        self.journal.forget()
        return gone

    def turn(self, deadline_ms: int | None = None) -> Turn:
        """The requests of one call."""
        return Turn(self.store, self.tree, self.clock, deadline_ms=deadline_ms)

    def behind(
        self, key: object, chore: Callable[[Turn], float | None], *, delay_s: float = 0.0
    ) -> None:
        """Do something behind a call, again until it is done or the session has ended."""

        def do() -> float | None:
            if not self.store.opened:
                return None
            return chore(Turn(self.store, self.tree, self.clock, opens=False))

        self.chores.soon(key, do, delay_s=delay_s)

    # Claims of this process

    def mine(self, id_: str) -> Mine | None:
        """What this process knows of its claim."""
        return self._mine.get(id_)

    def remember(self, resource: Resource, claim: Claim) -> Mine:
        """The claim of ours, as it was just written or read."""
        mine = self._mine.get(claim.record.id)
        if mine is None or mine.claim.path != claim.path:
            mine = Mine(resource, claim, self.bells)
        mine.claim, mine.refused = claim, False
        mine.ends_at = time.monotonic() + claim.record.lasts_ms / 1000
        with self._mutex:
            self._mine[claim.record.id] = mine
        return mine

    def forget(self, id_: str) -> None:
        """It is gone."""
        with self._mutex:
            self._mine.pop(id_, None)
            self._doubtful.discard(id_)

    def doubt(self, id_: str) -> None:
        """A call for it got no answer, so it may have left a claim that nobody knows of."""
        with self._mutex:
            if len(self._doubtful) > 10_000:
                self._doubtful.clear()
            self._doubtful.add(id_)

    def may_be_left(self, id_: str) -> bool:
        """Whether there may be a claim whose caller was never told that he has it."""
        mine = self._mine.get(id_)
        return id_ in self._doubtful if mine is None else not mine.told

    def ended(self) -> list[Mine]:
        """Claims of ours that ran out a while ago and lie about."""
        late = time.monotonic() - 1.0
        with self._mutex:
            return [mine for mine in self._mine.values() if mine.ends_at < late]

    @property
    def has_any(self) -> bool:
        """Whether anything of ours is in ZooKeeper that wants looking after."""
        return bool(self._mine or self._calls)

    def overdue(self, path: str, *, after_s: float) -> bool:
        """Whether a claim has been found like this for so long, by this process."""
        now = time.monotonic()
        with self._mutex:
            if len(self._overdue) > 1_000:
                self._overdue.clear()
            return now - self._overdue.setdefault(path, now) >= after_s

    # What is worth trying first

    def seems_free(self, resource: Resource) -> bool:
        """Whether it is worth while to take it without looking."""
        return self._busy.get(resource, 0.0) < time.monotonic()

    def note_busy(self, resource: Resource, *, busy: bool) -> None:
        """It was found so."""
        with self._mutex:
            if busy:
                if len(self._busy) > 10_000:
                    self._busy.clear()
                self._busy[resource] = time.monotonic() + BUSY_S
            else:
                self._busy.pop(resource, None)

    # Calls that are remembered

    def forget_call_in(self, id_: str, kept_ms: int) -> None:
        """Remove later what is remembered of a call."""
        with self._mutex:
            self._calls.append((time.monotonic() + kept_ms / 1000, self.tree.call(id_)))

    def forget_calls(self, turn: Turn) -> None:
        """Remove what was remembered for long enough."""
        now = time.monotonic()
        with self._mutex:
            due = [path for at, path in self._calls if at <= now]
        self._remove(turn, due)
        with self._mutex:
            self._calls = [each for each in self._calls if each[0] > now]

    def _close_segment(self) -> None:
        def close(turn: Turn) -> None:
            self.journal.close_segment(turn)
            self.journal.trim(turn)
            self._forget_old_calls(turn)

        self.behind("close a segment of events", close)

    def _forget_old_calls(self, turn: Turn) -> None:
        """Remove some calls whose process ended before it could."""
        names, _ = turn.one(Children(self.tree.calls))
        some = random.sample(names, min(CALLS_MAX, len(names)))
        paths = [f"{self.tree.calls}/{name}" for name in some]
        now_ms = turn.now().at_least()
        old = [
            path
            for path, found in zip(paths, turn.ask(*map(Get, paths)), strict=True)
            if not isinstance(found, ZooKeeperRefused)
            and found[1].mtime_ms + call_of(found[0]).kept_ms < now_ms
        ]
        self._remove(turn, old)

    def _remove(self, turn: Turn, paths: Sequence[str]) -> None:
        for at in range(0, len(paths), BATCH):
            batch = paths[at : at + BATCH]
            (reply,) = turn.ask(Commit(tuple(map(Delete, batch))))
            if isinstance(reply, ZooKeeperRefused):  # one of them is gone already
                turn.ask(*(Commit((Delete(path),)) for path in batch))
