"""Locks in ZooKeeper: an ephemeral node each who holds or waits, in the order of asking.

The session of its process frees what a dead holder held; the leader's clock decides leases; nobody
serves but those who hold and wait themselves. When the connection is lost, so is every grant of
this process at once: its session may end without a word.
"""

import os
import secrets
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from coordination.connections.zookeeper import Session, ZooKeeperStore
from coordination.exceptions import CoordinationError, InvalidArgument
from coordination.locks.bells import Bell
from coordination.locks.grant import lose_all
from coordination.locks.repeating import repeated
from coordination.locks.stores.zookeeper import giving, keeping, seeing
from coordination.locks.stores.zookeeper import line as lines
from coordination.locks.stores.zookeeper.events import Event
from coordination.locks.stores.zookeeper.giving import Giving
from coordination.locks.stores.zookeeper.journal import Entry
from coordination.locks.stores.zookeeper.keeping import Keeping
from coordination.locks.stores.zookeeper.reconciling import Reconciling, tell_end
from coordination.locks.stores.zookeeper.shared import Mine, Shared
from coordination.locks.stores.zookeeper.taking import Taking
from coordination.locks.stores.zookeeper.turn import Turn
from coordination.locks.types import (
    Answer,
    Held,
    LockInfo,
    Mode,
    Released,
    Request,
    Resource,
    Waiting,
)

TOKEN_MAX = 2**53 - 1
EVENTS_MAX = 500
"""How many are read at once: each of them is a node."""
TRY_MS = 1_000
"""How long one who does not wait stands in line to see whether a party is complete."""
TICK_S = 1.0
"""How often this process looks after what it has in ZooKeeper."""


class ZooKeeperLocks:
    """Locks of one ZooKeeper store; see `coordination.locks.store.LockStore` for the verbs."""

    def __init__(self, store: ZooKeeperStore, *, node: str) -> None:
        self.alias = store.alias
        self.deadline_ms = store.deadline_ms
        self._shared = Shared(store, node=node)
        self._reconciling = Reconciling(self._shared)
        _made.add(self)
        # The connection must not keep these locks alive.
        this = weakref.ref(self)

        def heard(session: Session) -> None:
            if (locks := this()) is not None:
                locks._heard(session)

        store.listen(heard)

    def acquire(self, request: Request, *, stay_ms: int, deadline_ms: int | None = None) -> Answer:
        """Take it, or stay in its queue for `stay_ms` unless asking again; 0 does not queue."""
        if request.mode is Mode.PARTY and not stay_ms:
            return self._last_of_a_party(request, deadline_ms=deadline_ms)
        turn = self._shared.turn(deadline_ms)
        try:
            return Taking(self._shared, turn, request, stay_ms=stay_ms).answer()
        except BaseException:
            self._shared.doubt(request.id)
            raise
        finally:
            self._look_after()

    def _last_of_a_party(self, request: Request, *, deadline_ms: int | None) -> Answer:
        """Have it if all the others are there: only who is in the line can let them go."""
        answer = self.acquire(request, stay_ms=TRY_MS, deadline_ms=deadline_ms)
        if isinstance(answer, Waiting):
            # What this is handed in between has no bearing: nobody is kept from going on.
            self.release(request, deadline_ms=deadline_ms)
            return Waiting(place=None, look_again_ms=answer.look_again_ms)
        return answer

    def release(
        self,
        request: Request,
        *,
        said: Mapping[str, Any] | None = None,
        deadline_ms: int | None = None,
    ) -> Released:
        """Give back what `acquire` took, or the place in the queue; the event tells `said`."""
        try:
            return Giving(self._shared, self._shared.turn(deadline_ms), request, said).answer()
        except CoordinationError:
            if self._shared.may_be_left(request.id):
                giving.give_up_until_gone(self._shared, request)
            raise
        finally:
            self._look_after()

    def renew(
        self, requests: Sequence[Request], *, deadline_ms: int | None = None
    ) -> list[Held | CoordinationError | None]:
        """Let leases begin anew, in one round trip; None for one that is lost."""
        return Keeping(self._shared, self._shared.turn(deadline_ms)).renew(requests)

    def force_release(self, resource: Resource, *, actor: str, reason: str) -> list[int]:
        """Take it from whoever holds it; returns their tokens, and every later one is greater."""
        # With the same id a repetition does not fall on the next holder.
        call = secrets.token_hex(8)
        told = {"actor": actor, "reason": reason}
        return repeated(
            lambda deadline_ms: giving.force(
                self._shared, self._shared.turn(deadline_ms), resource, call, told
            ),
            deadline_ms=self.deadline_ms,
        )

    def request_revoke(self, resource: Resource, *, grace_ms: int, actor: str, reason: str) -> int:
        """Ask holders to give it back; after the grace their leases are renewed no more."""
        told = {"actor": actor, "reason": reason}
        turn = self._shared.turn()
        return keeping.ask_back(self._shared, turn, resource, grace_ms=grace_ms, told=told)

    def info(self, resource: Resource) -> LockInfo:
        """Who holds it, and who waits in order."""
        return seeing.info(self._shared, self._shared.turn(), resource)

    def contended(self) -> list[LockInfo]:
        """Every resource that somebody waits for."""
        return seeing.contended(self._shared, self._shared.turn())

    def highest_token(self) -> int:
        """No token this store has given so far is greater."""
        return self._shared.journal.highest_token(self._shared.turn())

    def raise_tokens(self, above: int) -> None:
        """From now on every token this store gives, of any name, is greater than `above`."""
        if not 0 <= above < TOKEN_MAX:
            raise InvalidArgument(f"Tokens are less than 2^53, so not above {above}.")
        self._shared.journal.raise_base(self._shared.turn(), above)

    @contextmanager
    def bell(self, request: Request) -> Iterator[Bell]:
        """Rung when this request may have been handed the lock, and when the session changes."""
        with self._shared.bells.hung(request.id) as bell:
            # Nothing is watched for a call that only tries: it has to ask again to be told.
            bell.ring()
            yield bell

    def events(self, *, after: int = -1, limit: int = EVENTS_MAX) -> list[Event]:
        """The first of what the log of this ZooKeeper keeps behind a position, in order.

        A position that does not follow the one before tells that what was between is not kept.
        """
        turn = self._shared.turn()
        return self._shared.journal.events(turn, after=after, limit=limit)

    def entries(self, *, after: int = -1, limit: int = EVENTS_MAX) -> list[Entry]:
        """The same as `events`, as it stands in the nodes."""
        return self._shared.journal.entries(self._shared.turn(), after=after, limit=limit)

    def last_position(self) -> int:
        """Of the last event that was recorded before this call; -1: there is none."""
        return self._shared.journal.last(self._shared.turn())

    def used(self) -> list[Resource]:
        """Every resource that somebody holds or waits for."""
        return seeing.used(self._shared, self._shared.turn())

    def info_with_ended(self, resource: Resource) -> LockInfo:
        """As `info`, with those whose lease has run out while no event said so."""
        return seeing.info(self._shared, self._shared.turn(), resource, ended=True)

    def reconcile(self) -> int:
        """Record the end of claims that went with their session; how many were not yet told of."""
        return self._reconciling.reconcile()

    def _heard(self, session: Session) -> None:
        """In a thread of the connection: nothing may be asked here."""
        shared = self._shared
        if session is not Session.CONNECTED:
            lose_all(self, session.value)
            shared.clock.forget()
        if session is Session.LOST:
            for mine in shared.session_ended():
                self._tell_end(mine)
        shared.bells.ring_all()

    def _tell_end(self, mine: Mine) -> None:
        """Record, once there is a new session, what went with the last."""

        def tell(turn: Turn) -> None:
            record = mine.claim.record
            if lines.find(self._shared, turn, mine.resource, record.id) is None:
                ended = (mine.resource, record.id, mine.claim.token, record.owner)
                tell_end(self._shared, turn, *ended)

        self._shared.behind(("tell the end", mine.claim.path), tell)

    def _look_after(self) -> None:
        if self._shared.has_any:
            self._shared.behind("look after claims", self._tick, delay_s=TICK_S)

    def _tick(self, turn: Turn) -> float | None:
        """Notice a silent server, and remove what ran out."""
        shared = self._shared
        shared.store.check_silence()
        for mine in shared.ended():
            id_ = mine.claim.record.id
            claim = lines.find(shared, turn, mine.resource, id_)
            if claim is not None:
                if claim.until_ms > turn.now().at_least():
                    shared.remember(mine.resource, claim)
                    continue
                lines.remove_dead(shared, turn, mine.resource, claim)
            shared.forget(id_)
            giving.serve_soon(shared, mine.resource, claim.record.mode if claim else None)
        shared.forget_calls(turn)
        return TICK_S if shared.has_any else None

    def _forked(self) -> None:
        self._shared.start_afresh()


_made: "weakref.WeakSet[ZooKeeperLocks]" = weakref.WeakSet()


def _forked() -> None:
    for locks in list(_made):
        locks._forked()


os.register_at_fork(after_in_child=_forked)
