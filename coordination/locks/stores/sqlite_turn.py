"""One lock during one transaction of the sidecar: its claims, the rule of `machine`, the events.

What a turn does is as if it ran alone. Times are microseconds of this host's clock, tokens too.
"""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from operator import attrgetter
from types import MappingProxyType

from coordination.locks import machine
from coordination.locks.types import Claimant, Mode, Request, Resource, State, moment

CLAIM_MS = 1_500
"""How long a waiter that was handed the lock may take to say that it lives."""
LOST_KEPT_MS = 20_000
"""How long a holder whose lease ran out may ask late how it stands."""

SCHEMA = (
    """
CREATE TABLE clock (token INTEGER NOT NULL);
INSERT INTO clock VALUES (0);
CREATE TABLE claim (
    kind TEXT, name TEXT, call TEXT, position INTEGER NOT NULL, mode TEXT NOT NULL,
    capacity INTEGER NOT NULL, state TEXT NOT NULL, token INTEGER, since_us INTEGER NOT NULL,
    until_us INTEGER NOT NULL, revoked_at_us INTEGER, place INTEGER NOT NULL, owner TEXT NOT NULL,
    context TEXT NOT NULL, metadata TEXT NOT NULL, bell TEXT NOT NULL,
    PRIMARY KEY (kind, name, call)
) WITHOUT ROWID;
CREATE INDEX claim_until ON claim (until_us);
CREATE TABLE answer (
    kind TEXT, name TEXT, call TEXT, said TEXT NOT NULL, until_us INTEGER NOT NULL,
    PRIMARY KEY (kind, name, call)
) WITHOUT ROWID;
CREATE INDEX answer_until ON answer (until_us);
CREATE TABLE event (
    position INTEGER PRIMARY KEY, kind TEXT NOT NULL, object TEXT NOT NULL, name TEXT NOT NULL,
    at_us INTEGER NOT NULL, node TEXT NOT NULL, actor TEXT NOT NULL, data TEXT NOT NULL
)""",
)
"""What makes each version of the tables out of the one before."""


@dataclass(slots=True, kw_only=True)
class ClaimRow:
    """One call that holds the lock or waits for it; in the order of the table's columns."""

    call: str
    position: int
    mode: Mode
    limit: int
    state: State
    token: int | None = None
    since_us: int
    until_us: int
    revoked_at_us: int | None = None
    place: int = 0
    owner: str
    context: str
    metadata: str
    bell: str

    def seen(self) -> Claimant:
        """As others may see it."""
        revoked = self.revoked_at_us
        return Claimant(
            id=self.call,
            mode=self.mode,
            limit=self.limit,
            state=self.state,
            owner=self.owner,
            token=self.token,
            since=moment(self.since_us),
            until=moment(self.until_us),
            context=self.context,
            metadata=MappingProxyType(json.loads(self.metadata)),
            revoked_at=None if revoked is None else moment(revoked),
        )


_COLUMNS = (
    "call, position, mode, capacity, state, token, since_us, until_us, revoked_at_us, place, "
    "owner, context, metadata, bell"
)
_NAMES = tuple(each.name for each in fields(ClaimRow))
_values: Callable[[ClaimRow], tuple[object, ...]] = attrgetter(*_NAMES)
_MARKS = ", ".join("?" * (2 + len(_NAMES)))
OF_ONE = f"SELECT {_COLUMNS} FROM claim WHERE kind = ? AND name = ? ORDER BY position"  # noqa: S608
SAVE = f"INSERT OR REPLACE INTO claim (kind, name, {_COLUMNS}) VALUES ({_MARKS})"  # noqa: S608
REMOVE = "DELETE FROM claim WHERE kind = ? AND name = ? AND call = ?"
ANSWER = "SELECT said FROM answer WHERE kind = ? AND name = ? AND call = ? AND until_us > ?"
REMEMBER = """
INSERT INTO answer VALUES (?, ?, ?, ?, ?) ON CONFLICT (kind, name, call) DO UPDATE SET
    said = excluded.said, until_us = max(until_us, excluded.until_us)
"""
TOKEN = "UPDATE clock SET token = max(?, token + 1) RETURNING token"  # noqa: S105
POSITION = "SELECT coalesce(max(position), 0) FROM event"
TELL = """
INSERT INTO event (kind, object, name, at_us, node, actor, data) VALUES (?, ?, ?, ?, ?, ?, ?)
"""


@dataclass(slots=True)
class Turn:
    """What one call does to one lock."""

    db: sqlite3.Connection
    resource: Resource
    now_us: int
    node: str
    claims: dict[str, ClaimRow] = field(default_factory=dict)
    """By call, in the order of coming."""
    woken: list[tuple[str, str]] = field(default_factory=list)
    """Doorbells to ring after the commit, and for whom."""

    def __post_init__(self) -> None:
        for row in self.db.execute(OF_ONE, self._key):
            claim = claim_of(row)
            self.claims[claim.call] = claim

    @property
    def _key(self) -> tuple[str, str]:
        return self.resource.kind.value, self.resource.name

    @property
    def holders(self) -> list[ClaimRow]:
        """In no order."""
        return [each for each in self.claims.values() if each.state is not State.WAITING]

    @property
    def queue(self) -> list[ClaimRow]:
        """In the order of coming."""
        return [each for each in self.claims.values() if each.state is State.WAITING]

    def clear(self) -> None:
        """Holders whose lease ran out lose it, waiters who do not ask leave the queue."""
        for claim in [each for each in self.claims.values() if each.until_us <= self.now_us]:
            self.remove(claim)
            if claim.state is State.WAITING:
                self.tell("lock.gave_up", claim)
                continue
            if claim.state is State.HELD:
                self.remember(claim.call, "lost", kept_ms=LOST_KEPT_MS)
            self.tell("lock.expired", claim, token=claim.token, state=claim.state)

    def enter(self, request: Request, *, stay_ms: int, bell: str) -> ClaimRow:
        """Put a call at the end of the queue."""
        ((last,),) = self.db.execute(POSITION)
        claim = ClaimRow(
            call=request.id,
            position=last + 1,
            mode=request.mode,
            limit=request.limit,
            state=State.WAITING,
            since_us=self.now_us,
            until_us=self.now_us + max(1, stay_ms) * 1_000,
            owner=storable(request.owner),
            context=storable(request.context),
            metadata=request.metadata,
            bell=bell,
        )
        self.claims[claim.call] = claim
        return claim

    def serve(self, asking: Request | None = None) -> None:
        """Let those at the head of the queue have the lock who may have it now.

        The one who asks just now holds it; any other is woken, and has to ask again in a moment.
        """
        queue = self.queue
        coming = queue[: machine.admitted(queue, self.holders)]
        while coming:
            together = coming[0].limit if coming[0].mode is Mode.PARTY else 1
            for place, claim in enumerate(coming[:together]):
                claim.place = place
                self._give(claim, asking)
                self.save(claim)
            del coming[:together]

    def _give(self, claim: ClaimRow, asking: Request | None) -> None:
        claim.token = self.next_token()
        claim.since_us = self.now_us
        if asking is not None and claim.call == asking.id:
            claim.state = State.HELD
            claim.until_us = self.now_us + asking.ttl_ms * 1_000
            self.tell_holding("lock.granted", claim)
        else:
            claim.state = State.HANDED
            claim.until_us = self.now_us + CLAIM_MS * 1_000
            self.tell_holding("lock.handed", claim)
            self.woken.append((claim.bell, claim.call))

    def save(self, claim: ClaimRow) -> None:
        """Write a claim as it is now."""
        self.claims[claim.call] = claim
        self.db.execute(SAVE, (*self._key, *_values(claim)))

    def remove(self, claim: ClaimRow) -> None:
        """It holds nothing and waits for nothing any more."""
        del self.claims[claim.call]
        self.db.execute(REMOVE, (*self._key, claim.call))

    def next_token(self) -> int:
        """Greater than every token there was."""
        ((token,),) = self.db.execute(TOKEN, (self.now_us,))
        return int(token)

    def said(self, call: str) -> str | None:
        """What a call that is over was told, as far as it is remembered."""
        row = self.db.execute(ANSWER, (*self._key, call, self.now_us)).fetchone()
        return None if row is None else str(row[0])

    def remember(self, call: str, said: str, *, kept_ms: int) -> None:
        """What a call that is over is to be told from now on."""
        self.db.execute(REMEMBER, (*self._key, call, said, self.now_us + kept_ms * 1_000))

    def tell_holding(self, kind: str, claim: ClaimRow) -> None:
        """Record an event of a grant."""
        self.tell(
            kind,
            claim,
            token=claim.token,
            mode=claim.mode,
            limit=claim.limit,
            until=claim.until_us,
            context=claim.context,
            metadata=json.loads(claim.metadata),
        )

    def tell(self, kind: str, claim: ClaimRow | None = None, **data: object) -> None:
        """Record one event, at the next position."""
        said = data if claim is None else {"id": claim.call, "owner": claim.owner, **data}
        actor = str(said.get("actor") or "")
        row = (kind, *self._key, self.now_us, self.node, actor, json.dumps(said))
        self.db.execute(TELL, row)


def claim_of(row: tuple[object, ...]) -> ClaimRow:
    """From the columns of the table."""
    values = dict(zip(_NAMES, row, strict=True))
    values["mode"], values["state"] = Mode(str(values["mode"])), State(str(values["state"]))
    return ClaimRow(**values)  # type: ignore[arg-type]


def storable(text: str) -> str:
    """Text of any origin as SQLite takes it: no lone surrogate."""
    return text.encode(errors="replace").decode()
