"""What the records of locks hold, as values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

SHOWN_WAITERS = 50
"""How many waiters the feed carries of each resource; `waiting` counts all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Somebody who has it, or was handed it and has not answered yet."""

    id: str
    mode: str
    limit: int = 1
    state: str = "held"
    owner: str = ""
    context: str = ""
    node: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    token: int = 0
    since: datetime
    until: datetime
    renewed_at: datetime | None = None
    renewals: int = 0
    waited_ms: int | None = None
    """None when nobody saw it ask."""
    revoked_at: datetime | None = None
    revoke_reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """As JSON values: times in ISO 8601."""
        return _as_json(self, HOLDER_COLUMNS, HOLDER_TIMES)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Holder:
        """The holder of what `as_json` gave."""
        return cls(**_timed(values, HOLDER_COLUMNS, HOLDER_TIMES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiter:
    """Somebody in the queue."""

    id: str
    mode: str
    limit: int = 1
    owner: str = ""
    context: str = ""
    node: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    since: datetime

    def as_json(self) -> dict[str, Any]:
        """As JSON values: times in ISO 8601."""
        return _as_json(self, WAITER_COLUMNS, WAITER_TIMES)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Waiter:
        """The waiter of what `as_json` gave."""
        return cls(**_timed(values, WAITER_COLUMNS, WAITER_TIMES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """Somebody whose grant ended: known for a while, should it come back too late."""

    id: str
    token: int
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A resource as its events tell it; the row of `concord_lock_record`."""

    key: str
    feed_seq: int = 0
    version: int = 0
    holders: tuple[Holder, ...] = ()
    waiters: tuple[Waiter, ...] = ()
    token: int = 0
    last_end: str = ""
    changed_at: datetime
    disputed: str = ""
    gap: bool = False
    era: int = 0
    held_ms: tuple[int, ...] = ()
    former: tuple[Former, ...] = ()

    def holder(self, id_: str) -> Holder | None:
        """Who has it under this id."""
        return next((each for each in self.holders if each.id == id_), None)

    def waiter(self, id_: str) -> Waiter | None:
        """Who waits for it under this id."""
        return next((each for each in self.waiters if each.id == id_), None)

    def without_waiter(self, id_: str) -> Record:
        """The same without one in the queue."""
        if self.waiter(id_) is None:
            return self
        return replace(self, waiters=tuple(each for each in self.waiters if each.id != id_))

    def with_holder(self, changed: Holder) -> Record:
        """The same with one who has it, in the order of their tokens."""
        others = [each for each in self.holders if each.id != changed.id]
        ordered = sorted((*others, changed), key=lambda each: each.token)
        return replace(self, holders=tuple(ordered))

    @property
    def idle(self) -> bool:
        """Whether nobody has it and nobody waits."""
        return not self.holders and not self.waiters

    def as_row(self) -> dict[str, Any]:
        """The whole row as JSON values."""
        store, kind, name = self.key.split(" ", 2)
        return {
            "key": self.key,
            "store": store,
            "kind": kind,
            "name": name,
            "feed_seq": self.feed_seq,
            "version": self.version,
            "holders": [each.as_json() for each in self.holders],
            "waiters": [each.as_json() for each in self.waiters],
            "holding": len(self.holders),
            "waiting": len(self.waiters),
            "owner": self.holders[0].owner if self.holders else "",
            "token": self.token,
            "until": _iso(max((each.until for each in self.holders), default=None)),
            "waiting_since": _iso(self.waiters[0].since if self.waiters else None),
            "last_end": self.last_end,
            "changed_at": _iso(self.changed_at),
            "hold_ms_p95": _p95(self.held_ms),
            "disputed": self.disputed,
            "gap": self.gap,
            "era": self.era,
            "held_ms": list(self.held_ms),
            "former": [{"id": e.id, "token": e.token, "owner": e.owner} for e in self.former],
        }

    def shown(self) -> dict[str, Any]:
        """The row as the feed carries it: without what only a fold needs, a long queue cut."""
        row = self.as_row()
        row["waiters"] = row["waiters"][:SHOWN_WAITERS]
        for column in ("held_ms", "former", "era"):
            del row[column]
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Record:
        """The record of a database row, whose times are aware datetimes."""
        return cls(
            key=row["key"],
            feed_seq=row["feed_seq"],
            version=row["version"],
            holders=tuple(map(Holder.from_json, row["holders"])),
            waiters=tuple(map(Waiter.from_json, row["waiters"])),
            token=row["token"],
            last_end=row["last_end"],
            changed_at=row["changed_at"],
            disputed=row["disputed"],
            gap=row["gap"],
            era=row["era"],
            held_ms=tuple(row["held_ms"]),
            former=tuple(Former(**each) for each in row["former"]),
        )


HOLDER_COLUMNS = tuple(column.name for column in fields(Holder))
HOLDER_TIMES = ("since", "until", "renewed_at", "revoked_at")
WAITER_COLUMNS = tuple(column.name for column in fields(Waiter))
WAITER_TIMES = ("since",)


def state_of(record: Record) -> dict[str, Any]:
    """All a record knows, as the data of a `lock.resynced` event that stands for its history."""
    row = record.as_row()
    kept = ("token", "holders", "waiters", "last_end", "changed_at", "gap", "held_ms", "former")
    era = {"era": record.era} if record.era else {}
    return {column: row[column] for column in kept} | era


def _as_json(value: object, columns: tuple[str, ...], times: tuple[str, ...]) -> dict[str, Any]:
    found = {column: getattr(value, column) for column in columns}
    for column in times:
        found[column] = _iso(found[column])
    return found


def _timed(
    values: Mapping[str, Any], columns: tuple[str, ...], times: tuple[str, ...]
) -> dict[str, Any]:
    found = {column: values[column] for column in columns if column in values}
    for column in times:
        if (said := found.get(column)) is not None:
            found[column] = datetime.fromisoformat(said)
    return found


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _p95(held_ms: tuple[int, ...]) -> int | None:
    """The 95th percentile by nearest rank; None of none."""
    if not held_ms:
        return None
    return sorted(held_ms)[-(-len(held_ms) * 95 // 100) - 1]
