"""One event as the dashboard carries it, from the event log or from a feed message. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dashboard.rows import TransactionRow, epoch_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One recorded fact about one transaction. `at_ms` is the recording database's clock."""

    seq: int
    kind: str
    name: str
    version: int
    at_ms: int
    node: str
    actor: str
    data: Mapping[str, Any]

    def wire(self) -> dict[str, Any]:
        """With all its data, for the transaction's own page."""
        return {
            "seq": self.seq,
            "kind": self.kind,
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
    row: TransactionRow | None

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> FeedItem:
        """From the JSON of one feed message."""
        row = message.get("row")
        return cls(
            epoch=str(message["epoch"]),
            event=EventRow(
                seq=int(message["seq"]),
                kind=message["kind"],
                name=message["name"],
                version=int(message["version"]),
                at_ms=epoch_ms(message["at"]) or 0,
                node=message.get("node") or "",
                actor=message.get("actor") or "",
                data=message.get("data") or {},
            ),
            row=TransactionRow.read(row) if row else None,
        )
