"""Locks in PostgreSQL: one SQL function a verb, each of them one transaction with its event.

They run on connections of their own, never inside the caller's transaction: a rollback would take
back the grant, and until the commit nobody else could as much as ask. The server's clock decides
leases. A lock is handed on directly and in order, and the process it is handed to is notified.
"""

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from types import MappingProxyType
from typing import Any

from coordination.connections.database_errors import StatementRefused
from coordination.connections.postgresql_listener import Listener
from coordination.connections.postgresql_pool import CONNECT_MS, DEADLINE_MS, Pool, Row, Value
from coordination.exceptions import CoordinationError, OutcomeUnknown
from coordination.kernel.settings import StoreSettings
from coordination.locks.bells import Bell, Bells
from coordination.locks.repeating import repeated
from coordination.locks.types import (
    KEPT_MS,
    Answer,
    Claimant,
    Held,
    Kind,
    LockInfo,
    Mode,
    Over,
    Released,
    Request,
    Resource,
    State,
    Waiting,
    moment,
)

IS_OVER, TOO_LATE = "CL001", "CL002"
"""What `concord_lock_acquire` raises."""
NO_LEASE_MS = 60_000
"""How soon to look again where no lease stands in the way."""
DEAF_LOOK_MS = 500
"""How soon to look again while nothing is heard of hand-overs."""

ACQUIRE = "SELECT * FROM concord_lock_acquire($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13)"
RELEASE = "SELECT concord_lock_release($1,$2,$3,$4,$5,$6)"
RENEW = "SELECT * FROM concord_lock_renew($1,$2)"
FORCE = "SELECT unnest(concord_lock_force($1,$2,$3,$4,$5,$6,$7))"
REVOKE = "SELECT concord_lock_revoke($1,$2,$3,$4,$5,$6)"
RAISE = "SELECT concord_lock_raise($1)"
HIGHEST = """
SELECT greatest((SELECT max(token) FROM concord_lock), (SELECT max(token) FROM concord_lock_floor))
"""
_COLUMNS = """
n.us, l.kind, l.name, c.call, c.mode, c.capacity, c.state, c.token, c.since_us, c.until_us,
c.owner, c.context, c.metadata, c.revoked_at_us"""
INFO = f"""
SELECT {_COLUMNS} FROM (SELECT concord_now_us() AS us) n
LEFT JOIN (concord_lock l JOIN concord_lock_claim c ON c.lock_id = l.id)
    ON l.kind = $1 AND l.name = $2 AND c.until_us > n.us
ORDER BY c.token, c.position"""  # noqa: S608
CONTENDED = f"""
SELECT {_COLUMNS} FROM (SELECT concord_now_us() AS us) n
JOIN concord_lock_claim c ON c.until_us > n.us
    AND c.lock_id IN (SELECT w.lock_id FROM concord_lock_claim w
                      WHERE w.state = 'waiting' AND w.until_us > n.us)
JOIN concord_lock l ON l.id = c.lock_id
ORDER BY l.kind, l.name, c.token, c.position"""  # noqa: S608


class PostgresLocks:
    """Locks of one database store; see `coordination.locks.store.LockStore` for the verbs."""

    def __init__(self, settings: StoreSettings, *, node: str) -> None:
        limits: Mapping[str, Any] = settings.options
        self.alias = settings.alias
        self.deadline_ms: int = limits.get("deadline_ms", DEADLINE_MS)
        self._node = f"{self.alias} {node}"
        self._bells = Bells()
        self._pool = Pool(
            settings.using, store=self.alias, connect_ms=limits.get("connect_ms", CONNECT_MS)
        )
        self._listener = Listener(
            self._pool,
            heard=self._bells.ring,
            missed=self._bells.ring_all,
            wanted=self._bells.__len__,
        )

    def acquire(self, request: Request, *, stay_ms: int, deadline_ms: int | None = None) -> Answer:
        """Take it, or stay in its queue for `stay_ms` unless asking again; 0 does not queue."""
        try:
            (row,) = self._run(
                ACQUIRE,
                *(*_named(request.resource), request.id, request.mode, request.limit),
                *(request.ttl_ms, stay_ms, deadline_ms or self.deadline_ms, request.owner),
                *(request.context, storable(request.metadata)),
                *(self._listener.channel, self._node),
                deadline_ms=deadline_ms,
            )
        except StatementRefused as refusal:
            if refusal.sqlstate == IS_OVER:
                return Over()
            # It was not granted; but to who hears this the deadline has passed as well.
            raise OutcomeUnknown(
                f"{request.resource}: {refusal}.", name=request.name, store=self.alias
            ) from refusal
        answer, *rest, place = row
        if answer == "held":
            return _held((*rest, place))
        _, _, until, now, _ = rest
        look_ms = NO_LEASE_MS if until is None else -(-(int(until) - _int(now)) // 1_000)
        if not self._listener.hears:
            # Within the time in which one who is handed the lock has to say that it lives.
            look_ms = min(look_ms, DEAF_LOOK_MS)
        return Waiting(place=_int(place) if answer == "waiting" else None, look_again_ms=look_ms)

    def release(
        self,
        request: Request,
        *,
        said: Mapping[str, Any] | None = None,
        deadline_ms: int | None = None,
    ) -> Released:
        """Give back what `acquire` took, or the place in the queue; the event tells `said`."""
        ((answer,),) = self._run(
            *(RELEASE, *_named(request.resource), request.id, request.kept_ms),
            *(json.dumps(said or {}), self._node),
            deadline_ms=deadline_ms,
        )
        return Released(str(answer))

    def renew(
        self, requests: Sequence[Request], *, deadline_ms: int | None = None
    ) -> list[Held | CoordinationError | None]:
        """Let leases begin anew, in one round trip; None for one that is lost."""
        asked = [
            {
                "n": number,
                "kind": each.resource.kind,
                "name": each.name,
                "call": each.id,
                "ttl_ms": each.ttl_ms,
            }
            for number, each in enumerate(requests)
        ]
        rows = self._run(RENEW, json.dumps(asked), self._node, deadline_ms=deadline_ms)
        held = {_int(row[0]): _held(row[1:]) for row in rows}
        return [held.get(number) for number in range(len(requests))]

    def force_release(self, resource: Resource, *, actor: str, reason: str) -> list[int]:
        """Take it from whoever holds it; returns their tokens, and every later one is greater."""
        # With the same id a repetition does not fall on the next holder.
        verb = (FORCE, *_named(resource), secrets.token_hex(8), actor, reason, KEPT_MS, self._node)
        rows = repeated(
            lambda deadline_ms: self._run(*verb, deadline_ms=deadline_ms),
            deadline_ms=self.deadline_ms,
        )
        return [_int(token) for (token,) in rows]

    def request_revoke(self, resource: Resource, *, grace_ms: int, actor: str, reason: str) -> int:
        """Ask holders to give it back; after the grace their leases are renewed no more."""
        ((asked,),) = self._run(REVOKE, *_named(resource), grace_ms, actor, reason, self._node)
        return _int(asked)

    def info(self, resource: Resource) -> LockInfo:
        """Who holds it, and who waits in order."""
        return self._info(resource, self._run(INFO, *_named(resource)))

    def contended(self) -> list[LockInfo]:
        """Every resource that somebody waits for."""
        rows = self._run(CONTENDED)
        return [
            self._info(Resource(Kind(kind), str(name)), list(claims))
            for (kind, name), claims in groupby(rows, key=lambda row: (row[1], row[2]))
        ]

    def highest_token(self) -> int:
        """No token this store has given so far is greater."""
        ((token,),) = self._run(HIGHEST)
        return int(token or 0)

    def raise_tokens(self, above: int) -> None:
        """From now on every token this store gives, of any name, is greater than `above`."""
        self._run(RAISE, above)

    @contextmanager
    def bell(self, request: Request) -> Iterator[Bell]:
        """What rings when this request may have been handed the lock."""
        with self._bells.hung(request.id) as bell:
            self._listener.start()
            yield bell

    def _run(self, sql: str, *params: Value, deadline_ms: int | None = None) -> list[Row]:
        return self._pool.run(sql, params, deadline_ms=deadline_ms or self.deadline_ms)

    def _info(self, resource: Resource, rows: Sequence[Row]) -> LockInfo:
        claimants = list(_claimants(rows))
        return LockInfo(
            resource=resource,
            store=self.alias,
            at=moment(_int(rows[0][0])),
            holders=tuple(each for each in claimants if each.state is not State.WAITING),
            waiters=tuple(each for each in claimants if each.state is State.WAITING),
        )


def storable(metadata: str) -> str:
    """JSON without what PostgreSQL's jsonb refuses: NUL, and halves of a surrogate pair."""
    if "\\u" not in metadata:
        return metadata
    whole = json.dumps(json.loads(metadata), ensure_ascii=False)
    return whole.replace("\\u0000", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def _named(resource: Resource) -> tuple[str, str]:
    return resource.kind, resource.name


def _int(value: str | None) -> int:
    assert value is not None
    return int(value)


def _held(row: Sequence[str | None]) -> Held:
    token, since, until, now, revoked, place = row
    return Held(
        token=_int(token),
        since_us=_int(since),
        until_us=_int(until),
        now_us=_int(now),
        revoked_at_us=None if revoked is None else int(revoked),
        index=_int(place),
    )


def _claimants(rows: Iterable[Row]) -> Iterator[Claimant]:
    for _now, kind, _name, call, mode, capacity, state, token, since, until, *rest in rows:
        if kind is None:
            continue  # nobody: the row is there for the clock
        owner, context, metadata, revoked = rest
        yield Claimant(
            id=str(call),
            mode=Mode(str(mode)),
            limit=_int(capacity),
            state=State(str(state)),
            owner=str(owner),
            token=None if token is None else int(token),
            since=moment(_int(since)),
            until=moment(_int(until)),
            context=str(context),
            metadata=MappingProxyType(json.loads(str(metadata))),
            revoked_at=None if revoked is None else moment(int(revoked)),
        )
