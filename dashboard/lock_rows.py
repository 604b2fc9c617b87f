"""A lock as the dashboard shows it: one frozen row, from a record or from a feed message.

Pure. Semaphores, elections and barriers are rows of the same kind. Times are milliseconds of the
store's clock since the epoch; the words of a state are decided here once, from the row and the
moment it is looked at, since a lease ends without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from dashboard.globs import fits
from dashboard.limits import ENDING_MS, ENDING_SHARE
from dashboard.rows import epoch_ms

if TYPE_CHECKING:
    from dashboard.filtering import Term


class LockState(StrEnum):
    """What the pages call a lock's state."""

    DISPUTED = "disputed"
    """A rule was broken, and nobody has acknowledged it."""
    HELD = "held"
    HANDED = "handed"
    """Given to a waiter that has not yet said that it lives."""
    ENDING = "ending"
    """Held, and its lease is nearly over: it is not being renewed."""
    RAN_OUT = "ran_out"
    UNKNOWN = "unknown"
    """Events of it were lost since it was last seen whole."""
    FREE = "free"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRow:
    """Somebody who holds it or waits for it."""

    id: str
    mode: str
    limit: int
    state: str
    owner: str
    context: str
    node: str
    metadata: Mapping[str, Any]
    token: int | None
    since_ms: int | None
    until_ms: int | None
    renewed_ms: int | None
    renewals: int
    waited_ms: int | None
    revoked_ms: int | None
    revoke_reason: str

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> ClaimRow:
        """From one entry of a record's `holders` or `waiters`."""
        return cls(
            id=data.get("id") or "",
            mode=data.get("mode") or "",
            limit=int(data.get("limit") or 1),
            state=data.get("state") or "",
            owner=data.get("owner") or "",
            context=data.get("context") or "",
            node=data.get("node") or "",
            metadata=data.get("metadata") or {},
            token=None if data.get("token") is None else int(data["token"]),
            since_ms=epoch_ms(data.get("since")),
            until_ms=epoch_ms(data.get("until")),
            renewed_ms=epoch_ms(data.get("renewed_at")),
            renewals=int(data.get("renewals") or 0),
            waited_ms=data.get("waited_ms"),
            revoked_ms=epoch_ms(data.get("revoked_at")),
            revoke_reason=data.get("revoke_reason") or "",
        )

    @property
    def lease_ms(self) -> int | None:
        """How long its lease is, whenever it began last."""
        begun = self.renewed_ms or self.since_ms
        return None if self.until_ms is None or begun is None else self.until_ms - begun

    def wire(self) -> dict[str, Any]:
        """As JSON; a token is a text, since scripts would round a great one."""
        token = None if self.token is None else str(self.token)
        return asdict(self) | {"token": token, "lease_ms": self.lease_ms}


@dataclass(frozen=True, slots=True, kw_only=True)
class LockRow:
    """One lock. `seq` is the feed position this row stands at."""

    key: str
    seq: int
    version: int
    store: str
    kind: str
    name: str
    holders: tuple[ClaimRow, ...]
    waiters: tuple[ClaimRow, ...]
    holding: int
    waiting: int
    owner: str
    token: int
    until_ms: int | None
    last_end: str
    changed_ms: int
    hold_ms_p95: int | None
    disputed: str
    gap: bool

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> LockRow:
        """From a record's columns: datetimes or their ISO texts, claims as lists of dicts."""
        return cls(
            key=row["key"],
            seq=int(row["feed_seq"]),
            version=int(row["version"]),
            store=row["store"],
            kind=row["kind"],
            name=row["name"],
            holders=tuple(ClaimRow.read(each) for each in row["holders"]),
            waiters=tuple(ClaimRow.read(each) for each in row["waiters"]),
            holding=int(row["holding"]),
            waiting=int(row["waiting"]),
            owner=row["owner"],
            token=int(row["token"]),
            until_ms=epoch_ms(row["until"]),
            last_end=row["last_end"],
            changed_ms=epoch_ms(row["changed_at"]) or 0,
            hold_ms_p95=row["hold_ms_p95"],
            disputed=row["disputed"],
            gap=bool(row["gap"]),
        )

    @property
    def id(self) -> str:
        """What lists know it by."""
        return self.key

    @property
    def edition(self) -> object:
        """Another one whenever the row reads otherwise; a dispute is no event of the lock."""
        return (self.version, self.disputed, self.gap)

    @property
    def order(self) -> tuple[int, int, str, str]:
        """Sort key: disputed first, then the longest queue, then by name."""
        return (0 if self.disputed else 1, -self.waiting, self.name, self.key)

    @property
    def lease_ms(self) -> int | None:
        """How long the lease is that ends last."""
        ending = (each.lease_ms for each in self.holders if each.until_ms == self.until_ms)
        return max((lease for lease in ending if lease is not None), default=None)

    @property
    def first(self) -> ClaimRow | None:
        """Who holds it, or waits first."""
        return next(iter((*self.holders, *self.waiters)), None)

    @property
    def top_token(self) -> int:
        """The greatest token it is held by; the last one given when nobody holds it."""
        return max((each.token or 0 for each in self.holders), default=self.token)

    @property
    def handed(self) -> bool:
        """Whether nobody who was given it has said so yet."""
        return bool(self.holders) and all(each.state == "handed" for each in self.holders)

    @property
    def haystack(self) -> str:
        """What free text is looked for in."""
        claims = (*self.holders, *self.waiters)
        return " ".join((self.key, *(f"{c.owner} {c.context}" for c in claims))).casefold()

    def state_at(self, now_ms: int) -> LockState:
        """The state in words, by the store's clock."""
        if self.disputed:
            return LockState.DISPUTED
        if self.gap:
            return LockState.UNKNOWN
        if not self.holding or self.until_ms is None:
            return LockState.RAN_OUT if self.last_end == "expired" else LockState.FREE
        left_ms = self.until_ms - now_ms
        if left_ms <= 0:
            return LockState.RAN_OUT
        if self.handed:
            return LockState.HANDED
        lease_ms = self.lease_ms
        soon_ms = ENDING_MS if lease_ms is None else min(ENDING_MS, lease_ms * ENDING_SHARE)
        return LockState.ENDING if left_ms < soon_ms else LockState.HELD

    def answers(self, term: Term, now_ms: int) -> bool:
        """Whether a filter's condition is met, negation left aside."""
        match term.key:
            case "state":
                return self.state_at(now_ms) in term.values
            case "store" | "kind":
                return getattr(self, term.key) in term.values
            case "name":
                return fits(self.name, term.values)
            case "owner":
                return any(fits(each.owner, term.values) for each in self.holders)
            case "queue":
                return term.admits(self.waiting)
            case _:
                return any(value.casefold() in self.haystack for value in term.values)

    def wire(self) -> dict[str, Any]:
        """The row as lists send it."""
        first = self.first
        return {
            "id": self.key,
            "seq": self.seq,
            "v": self.version,
            "store": self.store,
            "kind": self.kind,
            "name": self.name,
            "owner": self.owner,
            "holding": self.holding,
            "mode": first.mode if first else "",
            "limit": first.limit if first else None,
            "handed": self.handed,
            "token": str(self.token),
            "until": self.until_ms,
            "lease": self.lease_ms,
            "waiting": self.waiting,
            "next": self.waiters[0].owner if self.waiters else "",
            "last_end": self.last_end,
            "p95": self.hold_ms_p95,
            "disputed": self.disputed,
            "gap": self.gap,
        }

    def wire_full(self) -> dict[str, Any]:
        """The row as its own page needs it."""
        return self.wire() | {
            "holders": [each.wire() for each in self.holders],
            "waiters": [each.wire() for each in self.waiters],
            "changed": self.changed_ms,
        }


def owners(claims: Iterable[ClaimRow]) -> str:
    """`billing-1 +3`: the first, and how many more there are."""
    every = [each.owner for each in claims]
    return f"{every[0]} +{len(every) - 1}" if len(every) > 1 else "".join(every)
