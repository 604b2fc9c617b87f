"""One event as the dashboard carries it, from the event log or from a feed message. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dashboard.counter_rows import CounterRow
from dashboard.lock_rows import LockRow
from dashboard.rows import TransactionRow, epoch_ms

Row = TransactionRow | LockRow | CounterRow
ROWS: Final[Mapping[str, type[TransactionRow] | type[LockRow] | type[CounterRow]]] = {
    "transaction": TransactionRow,
    "lock": LockRow,
    "counter": CounterRow,
}
"""What an event may be about → the row after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One recorded fact about one object. `at_ms` is the recording store's clock."""

    seq: int
    kind: str
    object: str
    name: str
    version: int
    at_ms: int
    node: str
    actor: str
    data: Mapping[str, Any]

    def wire(self) -> dict[str, Any]:
        """With all its data, for the page of what it is about."""
        return {
            "seq": self.seq,
            "kind": self.kind,
            "object": self.object,
            "gid": self.name,
            "v": self.version,
            "at": self.at_ms,
            "node": self.node,
            "actor": self.actor,
            "data": self.data,
        }

    @property
    def abridged(self) -> bool:
        """Whether the feed left the data out because of its size; the event log has it."""
        return "omitted_bytes" in self.data

    def brief(self) -> EventRow:
        """The same fact without arguments and branches, for the ring and the overview's list."""
        data = dict(self.data)
        branches = data.pop("branches", None)
        if branches is not None:
            data["of"] = len(branches)
        return EventRow(
            seq=self.seq,
            kind=self.kind,
            object=self.object,
            name=self.name,
            version=self.version,
            at_ms=self.at_ms,
            node=self.node,
            actor=self.actor,
            data=data,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedItem:
    """One message of the feed: the fact, and the record after it."""

    epoch: str
    event: EventRow
    row: Row | None

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> FeedItem:
        """From the JSON of one feed message."""
        row, kind = message.get("row"), message["object"]
        made = ROWS.get(kind)
        return cls(
            epoch=str(message["epoch"]),
            event=EventRow(
                seq=int(message["seq"]),
                kind=message["kind"],
                object=kind,
                name=message["name"],
                version=int(message["version"]),
                at_ms=epoch_ms(message["at"]) or 0,
                node=message.get("node") or "",
                actor=message.get("actor") or "",
                data=message.get("data") or {},
            ),
            row=_read(made, row) if row and made else None,
        )


def _read(made: type[Row], row: Mapping[str, Any]) -> Row | None:
    """The row, or None for one of another release: it must not stop what comes behind it."""
    try:
        return made.read(row)
    except (KeyError, TypeError, ValueError):
        return None
