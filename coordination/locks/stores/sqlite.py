"""Locks in a SQLite file beside the project's own: single host, no server.

Each verb is one transaction, and the decision in it is Python's. This host's clock decides leases.
A lock is handed on directly and in order; its process is woken through a pipe beside the file, so
that nobody polls. Fairness comes from the queue: the file itself is held for moments.
"""

import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import random
from typing import Any

from coordination import registry
from coordination.connections.doorbell import Doorbell, ring
from coordination.connections.sqlite import DEADLINE_MS, Sidecar
from coordination.exceptions import CoordinationError
from coordination.kernel.settings import StoreSettings
from coordination.locks.bells import Bell, Bells
from coordination.locks.repeating import repeated
from coordination.locks.stores.sqlite_turn import SCHEMA, ClaimRow, Turn, storable
from coordination.locks.types import (
    KEPT_MS,
    Answer,
    Held,
    Kind,
    LockInfo,
    Over,
    Released,
    Request,
    Resource,
    State,
    Waiting,
    moment,
)

APPLICATION = 0x434F4E4C
"""SQLite's application_id: "CONL"."""
NO_LEASE_MS = 60_000
"""How soon to look again where no lease stands in the way."""
DEAF_LOOK_MS = 250
"""How soon to look again where no pipe can be made."""
EVENTS_KEPT = 100_000
TIDY_SHARE = 0.02
"""Of the releases, how many tidy up, too."""
ABANDONED_US = 60_000_000

CONTENDED = """
SELECT DISTINCT kind, name FROM claim WHERE state = 'waiting' AND until_us > ? ORDER BY kind, name
"""
HIGHEST = "SELECT token FROM clock"
RAISE = "UPDATE clock SET token = max(token, ?)"
ABANDONED = "SELECT DISTINCT kind, name FROM claim WHERE until_us <= ? LIMIT 100"
FORGET = """
DELETE FROM answer WHERE (kind, name, call) IN
    (SELECT kind, name, call FROM answer WHERE until_us <= ? LIMIT 500)
"""
PRUNE = "DELETE FROM event WHERE position <= (SELECT max(position) FROM event) - ?"


class SqliteLocks:
    """Locks of one database store; see `coordination.locks.store.LockStore` for the verbs."""

    def __init__(self, settings: StoreSettings, *, node: str) -> None:
        limits: Mapping[str, Any] = settings.options
        self.alias = settings.alias
        self.deadline_ms: int = limits.get("deadline_ms", DEADLINE_MS)
        self._settings = settings
        self._node = node
        self._bells = Bells()
        self._sidecar = Sidecar(self.alias, self._place, SCHEMA, application=APPLICATION)
        self._doorbell = Doorbell(self._place, heard=self._bells.ring, wanted=self._bells.__len__)

    def _place(self) -> Path:
        return registry.sidecar_path(self._settings)

    def acquire(self, request: Request, *, stay_ms: int, deadline_ms: int | None = None) -> Answer:
        """Take it, or stay in its queue for `stay_ms` unless asking again; 0 does not queue."""
        with self._turn(request.resource, deadline_ms) as turn:
            mine = turn.claims.get(request.id)
            if mine is not None and mine.state is State.WAITING and stay_ms > 0:
                mine.until_us = turn.now_us + stay_ms * 1_000
                mine.bell = self._doorbell.name
                turn.save(mine)
            turn.clear()
            mine = turn.claims.get(request.id)
            if mine is None and turn.said(request.id) is not None:
                return Over()
            if mine is None or mine.state is State.WAITING:
                mine = self._queue(turn, request, mine, stay_ms=stay_ms)
            elif mine.state is State.HANDED:
                # Asking shows that it lives: the lease proper begins.
                mine.state = State.HELD
                mine.until_us = turn.now_us + request.ttl_ms * 1_000
                turn.save(mine)
                turn.tell_holding("lock.granted", mine)
            if mine.state is State.HELD:
                if request.kept_ms > KEPT_MS:
                    # Longer than anything is remembered of a lease that runs out.
                    turn.remember(request.id, Released.LOST, kept_ms=request.kept_ms)
                return _held(mine, turn.now_us)
            return self._waiting(turn, mine)

    def _queue(
        self, turn: Turn, request: Request, mine: ClaimRow | None, *, stay_ms: int
    ) -> ClaimRow:
        """Wait behind those who came before, or have it if there are none."""
        new = mine is None
        if mine is None:
            mine = turn.enter(request, stay_ms=stay_ms, bell=self._doorbell.name)
        turn.serve(request)
        if new and mine.state is State.WAITING:
            if stay_ms > 0:
                turn.tell_holding("lock.waiting", mine)
                turn.save(mine)
            else:
                del turn.claims[mine.call]
        return mine

    def _waiting(self, turn: Turn, mine: ClaimRow) -> Waiting:
        ends_us = min((each.until_us for each in turn.holders), default=None)
        look_ms = NO_LEASE_MS if ends_us is None else -(-(ends_us - turn.now_us) // 1_000)
        if not self._doorbell.works:
            look_ms = min(look_ms, DEAF_LOOK_MS)
        place = turn.queue.index(mine) + 1 if mine.call in turn.claims else None
        return Waiting(place=place, look_again_ms=look_ms)

    def release(
        self,
        request: Request,
        *,
        said: Mapping[str, Any] | None = None,
        deadline_ms: int | None = None,
    ) -> Released:
        """Give back what `acquire` took, or the place in the queue; the event tells `said`."""
        with self._turn(request.resource, deadline_ms) as turn:
            mine = turn.claims.get(request.id)
            if mine is not None and mine.state is State.WAITING:
                # By its own word, though its stay may be over.
                mine.until_us = turn.now_us + 1
            turn.clear()
            mine, before = turn.claims.get(request.id), turn.said(request.id)
            if mine is not None:
                waited = mine.state is State.WAITING
                answer = Released.LEFT if waited else Released.RELEASED
                turn.remove(mine)
                what = "lock.gave_up" if waited else "lock.released"
                turn.tell(what, mine, token=mine.token, **(said or {}))
            elif before in (Released.RELEASED, Released.LEFT):
                answer = Released(before)
            else:
                answer = Released.LOST
                turn.tell("lock.release_refused", id=request.id)
            if answer != before:
                # A copy of the call that arrives late must not be granted to nobody.
                turn.remember(request.id, answer, kept_ms=request.kept_ms)
            turn.serve()
            if random() < TIDY_SHARE:  # noqa: S311
                self._tidy(turn)
        return answer

    def renew(
        self, requests: Sequence[Request], *, deadline_ms: int | None = None
    ) -> list[Held | CoordinationError | None]:
        """Let leases begin anew, in one transaction; None for one that is lost."""
        with self._transaction(deadline_ms) as opened:
            return [self._renew(opened.turn(each.resource), each) for each in requests]

    def _renew(self, turn: Turn, request: Request) -> Held | None:
        turn.clear()
        mine = turn.claims.get(request.id)
        if mine is None or mine.state is State.WAITING:
            turn.serve()
            return None
        revoked = mine.revoked_at_us
        if revoked is None or turn.now_us < revoked:
            ends_us = turn.now_us + request.ttl_ms * 1_000
            # Never sooner than it was told before: the holder may not hear this answer.
            mine.until_us = max(
                mine.until_us, ends_us if revoked is None else min(ends_us, revoked)
            )
            turn.save(mine)
            turn.tell("lock.renewed", mine, token=mine.token, until=mine.until_us)
        return _held(mine, turn.now_us)

    def force_release(self, resource: Resource, *, actor: str, reason: str) -> list[int]:
        """Take it from whoever holds it; returns their tokens, and every later one is greater."""
        # With the same id a repetition does not fall on the next holder.
        call = secrets.token_hex(8)
        said = {"actor": storable(actor), "reason": storable(reason)}

        def force(deadline_ms: int) -> list[int]:
            with self._turn(resource, deadline_ms) as turn:
                if (before := turn.said(call)) is not None:
                    return [int(token) for token in before.split()]
                turn.clear()
                tokens = []
                for claim in turn.holders:
                    turn.remove(claim)
                    if claim.state is State.HELD:
                        turn.remember(claim.call, Released.LOST, kept_ms=KEPT_MS)
                    turn.tell("lock.forced", claim, token=claim.token, **said)
                    tokens.append(claim.token or 0)
                turn.remember(call, " ".join(map(str, tokens)), kept_ms=KEPT_MS)
                # Though nobody may be waiting: whoever comes next has a greater token.
                turn.next_token()
                turn.serve()
            return tokens

        return repeated(force, deadline_ms=self.deadline_ms)

    def request_revoke(self, resource: Resource, *, grace_ms: int, actor: str, reason: str) -> int:
        """Ask holders to give it back; after the grace their leases are renewed no more."""
        said = {"actor": storable(actor), "reason": storable(reason)}
        with self._turn(resource) as turn:
            turn.clear()
            asked = turn.holders
            for claim in asked:
                claim.revoked_at_us = turn.now_us + grace_ms * 1_000
                turn.save(claim)
                turn.tell("lock.revoke_asked", claim, token=claim.token,
                          at_latest=claim.revoked_at_us, **said)  # fmt: skip
            turn.serve()
        return len(asked)

    def info(self, resource: Resource) -> LockInfo:
        """Who holds it, and who waits in order."""
        with self._turn(resource) as turn:
            return self._info(turn)

    def contended(self) -> list[LockInfo]:
        """Every resource that somebody waits for."""
        with self._transaction(None) as opened:
            found = opened.db.execute(CONTENDED, (opened.now_us,)).fetchall()
            return [self._info(opened.turn(Resource(Kind(kind), name))) for kind, name in found]

    def highest_token(self) -> int:
        """No token this store has given so far is greater."""
        with self._transaction(None) as opened:
            ((token,),) = opened.db.execute(HIGHEST)
            return int(token)

    def raise_tokens(self, above: int) -> None:
        """From now on every token this store gives, of any name, is greater than `above`."""
        with self._transaction(None) as opened:
            opened.db.execute(RAISE, (above,))

    @contextmanager
    def bell(self, request: Request) -> Iterator[Bell]:
        """What rings when this request may have been handed the lock."""
        with self._bells.hung(request.id) as bell:
            if self._doorbell.start():
                bell.ring()
            yield bell

    @contextmanager
    def _turn(self, resource: Resource, deadline_ms: int | None = None) -> Iterator[Turn]:
        with self._transaction(deadline_ms) as opened:
            yield opened.turn(resource)

    @contextmanager
    def _transaction(self, deadline_ms: int | None) -> Iterator["_Opened"]:
        with self._sidecar.transaction(deadline_ms or self.deadline_ms) as db:
            opened = _Opened(db, node=self._node)
            yield opened
        # After the commit: whoever is woken looks at once.
        for turn in opened.turns:
            for name, call in turn.woken:
                if name == self._doorbell.name:
                    self._bells.ring(call)
                else:
                    ring(self._sidecar.path, name, call)

    def _info(self, turn: Turn) -> LockInfo:
        living = [each for each in turn.claims.values() if each.until_us > turn.now_us]
        holders = [each for each in living if each.state is not State.WAITING]
        holders.sort(key=lambda each: each.token or 0)
        return LockInfo(
            resource=turn.resource,
            store=self.alias,
            at=moment(turn.now_us),
            holders=tuple(each.seen() for each in holders),
            waiters=tuple(each.seen() for each in living if each.state is State.WAITING),
        )

    def _tidy(self, turn: Turn) -> None:
        """Forget what nobody will ask for again, and locks whose holders never came back."""
        turn.db.execute(FORGET, (turn.now_us,))
        turn.db.execute(PRUNE, (EVENTS_KEPT,))
        long_ago = turn.now_us - ABANDONED_US
        for kind, name in turn.db.execute(ABANDONED, (long_ago,)).fetchall():
            abandoned = Turn(turn.db, Resource(Kind(kind), name), turn.now_us, self._node)
            abandoned.clear()
            abandoned.serve()
            turn.woken += abandoned.woken


class _Opened:
    """A transaction, and the locks it has to do with."""

    def __init__(self, db: sqlite3.Connection, *, node: str) -> None:
        self.db = db
        self.now_us = time.time_ns() // 1_000
        self.turns: list[Turn] = []
        self._node = node

    def turn(self, resource: Resource) -> Turn:
        """One lock, as it is now."""
        turn = Turn(self.db, resource, self.now_us, self._node)
        self.turns.append(turn)
        return turn


def _held(claim: ClaimRow, now_us: int) -> Held:
    return Held(
        token=claim.token or 0,
        since_us=claim.since_us,
        until_us=claim.until_us,
        now_us=now_us,
        revoked_at_us=claim.revoked_at_us,
        index=claim.place,
    )
