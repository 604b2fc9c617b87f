"""One call of a verb: its requests share one deadline, and what it did so far is remembered."""

import time
from collections.abc import Sequence
from typing import Any

from coordination.connections.zookeeper import ZooKeeperStore
from coordination.connections.zookeeper_errors import ReplyLost, ZooKeeperRefused
from coordination.connections.zookeeper_requests import (
    Commit,
    Create,
    Request,
    Stat,
    Step,
    Write,
)
from coordination.exceptions import OutcomeUnknown, StoreUnavailable
from coordination.locks.stores.zookeeper.clock import LeaderClock
from coordination.locks.stores.zookeeper.paths import Tree


class Turn:
    """The requests of one verb. Raises StoreUnavailable only while nothing was applied."""

    def __init__(
        self,
        store: ZooKeeperStore,
        tree: Tree,
        clock: LeaderClock,
        *,
        deadline_ms: int | None = None,
        opens: bool = True,
    ) -> None:
        self._store = store
        self._tree = tree
        self.clock = clock
        allowed_ms = store.deadline_ms if deadline_ms is None else deadline_ms
        self._until = time.monotonic() + allowed_ms / 1000
        self._opens = opens
        self._applied = False

    def ask(self, *requests: Request) -> list[Any]:
        """Their replies, in one round trip; ZooKeeperRefused in the place of what was refused.

        Raises StoreUnavailable or OutcomeUnknown.
        """
        while True:
            sent_at = time.monotonic()
            try:
                replies = self._asked(requests)
            except ReplyLost:
                # They change nothing. The server may be back, and the session as it was.
                continue
            except StoreUnavailable as error:
                if not self._applied:
                    raise
                raise OutcomeUnknown(str(error), store=error.store, reason=error.reason) from error
            break
        for request, reply in zip(requests, replies, strict=True):
            if isinstance(request, Commit) and not isinstance(reply, ZooKeeperRefused):
                self._applied = True
                self._hear(reply, sent_at)
        return replies

    def _asked(self, requests: Sequence[Request]) -> list[Any]:
        left_ms = int((self._until - time.monotonic()) * 1000)
        if left_ms <= 0:
            raise StoreUnavailable(
                f"Store {self._store.alias!r}: not done within the deadline.",
                store=self._store.alias,
                reason="not done within the deadline",
            )
        return self._store.ask(*requests, deadline_ms=left_ms, opens=self._opens)

    def one(self, request: Request) -> Any:
        """Its reply. Raises as `ask`, and ZooKeeperRefused."""
        (reply,) = self.ask(request)
        if isinstance(reply, ZooKeeperRefused):
            raise reply
        return reply

    def commit(self, *steps: Step) -> Sequence[Any]:
        """The results of steps that are applied in one. Raises as `one`."""
        results: Sequence[Any] = self.one(Commit(steps))
        return results

    def now(self) -> LeaderClock:
        """The leader's clock, after it was read if that is long ago."""
        if not self.clock.known:
            applied = self._applied
            try:
                self.commit(Write(self._tree.clock, b""))
            except ZooKeeperRefused as refused:
                if refused.word != "NoNode":
                    raise
                # Nobody has used this ZooKeeper yet.
                self.ask(*(Commit((Create(path=path),)) for path in self._tree.lasting))
                self.commit(Write(self._tree.clock, b""))
            self._applied = applied  # that was nobody's wish
        return self.clock

    def _hear(self, results: Sequence[Any], sent_at: float) -> None:
        # All steps of a commit are stamped with one time.
        for result in results:
            if isinstance(result, Stat):
                self.clock.heard(result.mtime_ms, sent_at=sent_at)
                return
