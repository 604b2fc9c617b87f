"""Values of queues: what is declared, published, taken and settled."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

KEPT_MS = 20_000
"""How long a store remembers a call that nobody gave an id: far longer than it may be repeated."""

PRIORITY_MAX = 9
"""Of a message; 0 is the default and the lowest."""
BATCH_MAX = 1_000
"""Messages of one call: one step of a store, which others wait for."""

_EPOCH = datetime.fromtimestamp(0, UTC)


def moment(microseconds: int) -> datetime:
    """A time of a store's clock."""
    return _EPOCH + timedelta(microseconds=microseconds)


class Capability(StrEnum):
    """What a store may or may not be able to do with a queue."""

    PRIORITY = "priority"
    DELAY = "delay"
    """Of a publication: `delay`, `eta`."""
    GROUPS = "groups"
    DEDUP = "dedup_id"
    EXPIRY = "expires"
    BOUND = "max_length"
    EXTEND = "extend"
    PEEK = "peek"
    MOVE = "move"
    PICK = "pick"
    """One message, by its id, out of the middle of the queue."""
    FROZEN = "sweep a frozen set of"
    """A step of a sweep may be made again after any time: what came later stays untouched."""
    PAUSE = "pause"
    PORTABLE_RECEIPTS = "receipts in another process"
    """A receipt settles in any process, not only in the one that took the message."""
    REFUSES_STALE = "refusing a stale receipt"
    """The store answers whether a receipt was still good."""
    JOINS_TRANSACTION = "publishing as part of the caller's database transaction"
    """`publish` inside `atomic()` of the store's own database is undone by a rollback."""


EVERYTHING = frozenset(Capability)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What a queue is, the same for everybody who uses it."""

    name: str
    visibility_ms: int
    """How long a message that was taken belongs to who took it, unless extended."""
    max_attempts: int
    """Attempts after which a message is a dead letter."""
    dead_letter: str | None
    """The queue that keeps dead letters; None: none dies, it is tried again for ever."""
    max_length: int | None
    """Messages that it holds at most, whatever their state; None: no bound."""


class Outgoing(NamedTuple):
    """A checked message on its way to a store. A tuple, since many are made."""

    id: str
    """Made by the publisher; never holds a space or a line's end."""
    body: str
    """JSON on one line."""
    headers: str
    """A JSON object on one line."""
    priority: int = 0
    delay_ms: int = 0
    """After this, by the store's clock, it may be taken."""
    due_us: int = 0
    """Before this time of the store's clock it may not be taken; 0: at once."""
    expires_ms: int = 0
    """After this, by the store's clock, it is of no use to anybody; 0: never."""
    group: str = ""
    """Messages of one group are taken one after the other, in order; empty: of none."""
    dedup: str = ""
    """Another message with the same within the window is the same message; empty: of none."""


class Published(NamedTuple):
    """What became of an outgoing message."""

    id: str
    """Its own, or of the earlier message that it repeats."""
    duplicate: bool = False


class Taken(NamedTuple):
    """A message that was taken, as its store tells. A tuple, since many are made."""

    id: str
    receipt: str
    """``<attempts>.<store's own words>``: proof that this delivery is the taker's."""
    attempts: int
    """This one included, from 1."""
    body: str
    """JSON."""
    headers: str
    """A JSON object."""
    published_us: int
    priority: int = 0
    group: str = ""
    expires_us: int = 0
    """When it is of no use any more; 0: never."""
    suspect: bool = False
    """Its last taker vanished with it: it may have killed it."""
    source: str = ""
    """Of a dead letter: the queue it died in."""
    error: str = ""
    """What went wrong last."""


class Found(NamedTuple):
    """What `reserve` came to."""

    taken: list[Taken]
    look_again_ms: int
    """When there may be one without a word: a delay or a lease ends then. 0, with none: at once,
    since more expired or lapsed than one call brings on."""


class Verb(StrEnum):
    """How a taken message is settled."""

    ACK = "ack"
    """It is done, and gone."""
    RETRY = "retry"
    """It may be taken again after a delay; the attempt counts."""
    DEAD = "dead"
    """It goes to the dead letters; where there are none, it is tried again later."""
    RELEASE = "release"
    """Nobody has begun it: it may be taken again at once, and the attempt does not count."""


class Settlement(NamedTuple):
    """What its taker says of one taken message."""

    receipt: str
    verb: Verb
    delay_ms: int = 0
    """Of RETRY: how long nobody takes it. Of DEAD, the same where there are no dead letters."""
    error: str = ""
    """Kept with the message; at most `ERROR_LENGTH_MAX` characters."""


class State(StrEnum):
    """Where a message stands."""

    READY = "ready"
    DELAYED = "delayed"
    IN_FLIGHT = "in_flight"


class Swept(NamedTuple):
    """What one step of `move`, `redrive` or `purge` came to."""

    done: int
    """How many messages."""
    cursor: str | None
    """Where to go on, as the store counts; None: the set is done. The first step freezes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A message that was looked at and not taken."""

    id: str
    state: State
    body: Any
    headers: Mapping[str, Any]
    attempts: int
    priority: int
    group: str | None
    published_at: datetime
    at: datetime | None = None
    """When it will be ready, of DELAYED; when its lease ends, of IN_FLIGHT."""
    expires_at: datetime | None = None
    source: str | None = None
    """Of a dead letter: the queue it died in."""
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """How many messages did what since the queue was first used.

    ``published + moved_in + redriven = acked + dead + expired + purged + moved_out + held``, where
    `held` is what it holds. Of a dead letter queue, letters that come in count as `moved_in`, and
    those that were redriven from it as `moved_out`.
    """

    published: int = 0
    """Without repetitions and duplicates."""
    acked: int = 0
    dead: int = 0
    expired: int = 0
    purged: int = 0
    moved_in: int = 0
    moved_out: int = 0
    redriven: int = 0
    delivered: int = 0
    """Attempts."""
    lapsed: int = 0
    """Attempts whose taker said nothing in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """How a queue stands at one moment of its store's clock."""

    name: str
    store: str
    at: datetime
    ready: int
    """May be taken now, or as soon as those before them in their group are done."""
    delayed: int
    in_flight: int
    dead: int
    """In its dead letter queue, from whatever queue; 0 where it has none."""
    grouped: int = 0
    """Of `ready`, those that wait for one of their group."""
    oldest_age: float | None = None
    """Seconds since the first of the ready messages was published; None: there is none."""
    publishing_paused: bool = False
    consuming_paused: bool = False
    totals: Totals | None = None
    """None where the store does not count."""
    declaration: Declaration | None = None
    extra: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """What only this kind of store tells, e.g. RabbitMQ's consumers."""

    @property
    def held(self) -> int:
        """Messages in it, in whatever state."""
        return self.ready + self.delayed + self.in_flight
