"""A claim: the record in its node, together with what ZooKeeper says of the node. Pure.

Times are milliseconds of the leader's clock. Nobody can ask ZooKeeper for the time, but every write
is stamped with it: a claim lasts from the last write of its node, so writing it is renewing it.
"""

import json
from dataclasses import dataclass, replace
from types import MappingProxyType

from coordination.connections.zookeeper_requests import Stat
from coordination.locks.types import Claimant, Held, Mode, Request, State, moment

CLAIM_MS = 1_500
"""How long a waiter that was handed the lock may take to say that it lives."""
_LOW = 2**32


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What stands in a claim's node."""

    id: str
    mode: Mode
    limit: int
    state: State
    owner: str
    context: str
    metadata: str
    ttl_ms: int
    kept_ms: int
    lasts_ms: int
    """How long the claim lasts from the write of this record."""
    until_ms: int | None = None
    """When it ends instead, where a write must not move its end."""
    epoch: int | None = None
    base: int | None = None
    """What the token is counted from, in the record whose write was the grant."""
    token: int | None = None
    since_ms: int | None = None
    """Later records repeat what that write gave."""
    revoked_at_ms: int | None = None
    index: int = 0
    """Of a PARTY: its place among those who were let go together."""

    def packed(self) -> bytes:
        """As it stands in the node."""
        values = (getattr(self, field) for field in _FIELDS)
        return json.dumps(list(values), separators=(",", ":")).encode()


_FIELDS = tuple(Record.__dataclass_fields__)


def unpacked(data: bytes) -> Record:
    """The record of a node."""
    fields = dict(zip(_FIELDS, json.loads(data), strict=True))
    return Record(**fields | {"mode": Mode(fields["mode"]), "state": State(fields["state"])})


def asking(request: Request, *, stay_ms: int) -> Record:
    """Of one who waits."""
    return Record(
        id=request.id,
        mode=request.mode,
        limit=request.limit,
        state=State.WAITING,
        owner=request.owner,
        context=request.context,
        metadata=request.metadata,
        ttl_ms=request.ttl_ms,
        kept_ms=request.kept_ms,
        lasts_ms=stay_ms,
    )


@dataclass(frozen=True, slots=True)
class Claim:
    """A node at one moment."""

    path: str
    record: Record
    stat: Stat

    @property
    def until_ms(self) -> int:
        """When it ends unless it is written again."""
        until_ms = self.record.until_ms
        return self.stat.mtime_ms + self.record.lasts_ms if until_ms is None else until_ms

    @property
    def since_ms(self) -> int:
        """Since when it is held, or waits."""
        if self.record.since_ms is not None:
            return self.record.since_ms
        granting = self.record.state is State.HELD
        return self.stat.mtime_ms if granting else self.stat.ctime_ms

    @property
    def token(self) -> int | None:
        """Of one that is held; None too when the grant fell into an epoch without a base."""
        record = self.record
        if record.token is not None or record.base is None:
            return record.token
        return token_of(self.stat.mzxid, epoch=record.epoch, base=record.base)

    def settled(self) -> Record:
        """Its record with all that only the Stat tells until it is written again."""
        if self.record.state is not State.HELD:
            return self.record
        return replace(self.record, token=self.token, since_ms=self.since_ms)

    def held(self, *, now_ms: int) -> Held:
        """As its holder is told."""
        assert self.token is not None
        revoked_ms = self.record.revoked_at_ms
        return Held(
            token=self.token,
            since_us=self.since_ms * 1000,
            until_us=self.until_ms * 1000,
            now_us=now_ms * 1000,
            revoked_at_us=None if revoked_ms is None else revoked_ms * 1000,
            index=self.record.index,
        )

    def seen(self, state: State) -> Claimant:
        """As everybody may see it."""
        record = self.record
        revoked_ms = record.revoked_at_ms
        return Claimant(
            id=record.id,
            mode=record.mode,
            limit=record.limit,
            state=state,
            owner=record.owner,
            token=self.token,
            since=moment(self.since_ms * 1000),
            until=moment(self.until_ms * 1000),
            context=record.context,
            metadata=MappingProxyType(json.loads(record.metadata)),
            revoked_at=None if revoked_ms is None else moment(revoked_ms * 1000),
        )


def epoch_of(zxid: int) -> int:
    """Which leader made a change."""
    return zxid // _LOW


def counter_of(zxid: int) -> int:
    """Which of its leader's changes it is."""
    return zxid % _LOW


def token_of(zxid: int, *, epoch: int | None, base: int) -> int | None:
    """The token that a change gives; None when the base is of another leader's epoch."""
    return base + counter_of(zxid) if epoch_of(zxid) == epoch else None
