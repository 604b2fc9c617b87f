"""Values of locks: what is asked for, what a store answers, what is seen of a lock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

KEPT_MS = 20_000
"""How long a store remembers a call that nobody gave an id: far longer than it may be repeated."""

_EPOCH = datetime.fromtimestamp(0, UTC)


def moment(microseconds: int) -> datetime:
    """A time of a store's clock."""
    return _EPOCH + timedelta(microseconds=microseconds)


class Kind(StrEnum):
    """What a name is used for. The same name may be of several kinds; they do not meet."""

    LOCK = "lock"
    SEMAPHORE = "semaphore"
    ELECTION = "election"
    BARRIER = "barrier"


@dataclass(frozen=True, slots=True)
class Resource:
    """What is asked for: a name of one kind."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        """As errors tell of it."""
        return f"{self.kind} {self.name!r}"


class Mode(StrEnum):
    """Together with whom something is held; `machine` has the rule."""

    EXCLUSIVE = "exclusive"
    """Alone."""
    SHARED = "shared"
    """With others who share it: readers."""
    PERMIT = "permit"
    """With fewer than `limit` others: a semaphore."""
    PARTY = "party"
    """As soon as `limit` have come, whoever holds it: a barrier."""


class State(StrEnum):
    """Where an id stands at a lock."""

    WAITING = "waiting"
    HANDED = "handed"
    """Given to a waiter that has not yet said that it lives."""
    HELD = "held"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call for a lock. Its id makes a repetition get the first answer."""

    resource: Resource
    id: str
    mode: Mode
    limit: int = 1
    """How many may hold it at once (PERMIT), or have to come (PARTY)."""
    ttl_ms: int
    owner: str
    context: str
    metadata: str
    """JSON."""
    kept_ms: int
    """How long the store remembers what became of it."""

    @property
    def name(self) -> str:
        """Of its resource."""
        return self.resource.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """It is held. Times are microseconds of the store's clock."""

    token: int
    since_us: int
    until_us: int
    now_us: int
    revoked_at_us: int | None = None
    """When its lease will be renewed no more, because somebody asked for it back."""
    index: int = 0
    """Of a PARTY: its place, from 0, among those who were let go together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """It is in the queue, or `place` is None and it is not."""

    place: int | None
    look_again_ms: int
    """When the present lease ends, so that it may be free without a word."""
    now_us: int = 0
    """By the store's clock, where its bell tells of a hand-over by that clock."""


@dataclass(frozen=True, slots=True)
class Over:
    """This id had it once and has it no longer."""


Answer = Held | Waiting | Over


class Released(StrEnum):
    """What giving back came to."""

    RELEASED = "released"
    LEFT = "left"
    """It was waiting, and waits no more."""
    LOST = "lost"
    """It had nothing to give back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimant:
    """Somebody who holds a lock or waits for it."""

    id: str
    mode: Mode
    limit: int
    state: State
    owner: str
    token: int | None
    since: datetime
    until: datetime
    """End of its lease; for a waiter, when it is held to be gone unless it asks again."""
    context: str
    metadata: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    revoked_at: datetime | None = None
    node: str = ""
    """From which it asked; empty where a store does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockInfo:
    """How a lock stands at one moment of its store's clock."""

    resource: Resource
    store: str
    at: datetime
    holders: tuple[Claimant, ...]
    waiters: tuple[Claimant, ...]
    """In the order in which they will have it."""

    @property
    def name(self) -> str:
        """Of its resource."""
        return self.resource.name

    @property
    def owner(self) -> str | None:
        """Of the one holder, or of the first of several."""
        return self.holders[0].owner if self.holders else None

    @property
    def token(self) -> int | None:
        """Of the one holder, or the greatest of several."""
        return max((each.token or 0 for each in self.holders), default=None)

    @property
    def ttl_left(self) -> float:
        """Seconds until the last of its leases ends; 0 when nobody holds it."""
        last = max((each.until for each in self.holders), default=self.at)
        return max(0.0, (last - self.at).total_seconds())
