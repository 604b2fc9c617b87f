"""The ordered event log and where the feed stands in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import QuerySet

from coordination.models import Cursor, Event
from coordination.observing.journal import CURSOR
from dashboard.events import EventRow, FeedItem, Row
from dashboard.limits import STORY_EVENTS
from dashboard.queries import counters, locks, transactions
from dashboard.queries.bounds import alias
from dashboard.rows import epoch_ms

_COLUMNS: Final = ("seq", "kind", "object", "name", "version", "at", "node", "actor", "data")

_SEVERAL: Final[Mapping[str, Callable[[list[str]], Mapping[str, Row]]]] = {
    "transaction": transactions.several,
    "lock": locks.several,
    "counter": counters.several,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where the feed stands: the last assigned seq, and the feed's epoch."""

    seq: int
    epoch: str


def position() -> Position:
    """How far the observer came; seq 0 and an empty epoch before its first batch."""
    row = Cursor.objects.using(alias()).filter(name=CURSOR).values("seq", "epoch").first()
    return Position(seq=row["seq"], epoch=row["epoch"]) if row else Position(seq=0, epoch="")


def of_transaction(gid: str) -> tuple[EventRow, ...]:
    """The events of one transaction in order; of a very long story its beginning and its end."""
    found = _events().filter(object="transaction", name=gid, seq__isnull=False)
    half = STORY_EVENTS // 2
    end = [_row(row) for row in found.order_by("-version").values(*_COLUMNS)[:half]][::-1]
    if len(end) < half:
        return tuple(end)
    beginning = found.filter(version__lt=end[0].version).order_by("version")
    return (*(_row(row) for row in beginning.values(*_COLUMNS)[:half]), *end)


def after(seq: int, *, epoch: str, limit: int) -> tuple[FeedItem, ...]:
    """Feed items past `seq` as the records know them: what a lost stream would have said.

    Each item carries its object's record of now, which may be newer than the event.
    """
    found = _events().filter(seq__gt=seq).order_by("seq").values(*_COLUMNS)[:limit]
    events = [_row(row) for row in found]
    rows = {
        (kind, name): row
        for kind, several in _SEVERAL.items()
        for name, row in several(sorted({e.name for e in events if e.object == kind})).items()
    }
    return tuple(
        FeedItem(epoch=epoch, event=event, row=rows.get((event.object, event.name)))
        for event in events
    )


def latest(limit: int) -> tuple[EventRow, ...]:
    """The last events of all, in order."""
    found = _events().filter(seq__isnull=False).order_by("-seq").values(*_COLUMNS)[:limit]
    return tuple(_row(row) for row in found)[::-1]


def _events() -> QuerySet[Event]:
    return Event.objects.using(alias())


def _row(row: dict[str, Any]) -> EventRow:
    return EventRow(
        seq=row["seq"] or 0,
        kind=row["kind"],
        object=row["object"],
        name=row["name"],
        version=row["version"],
        at_ms=epoch_ms(row["at"]) or 0,
        node=row["node"],
        actor=row["actor"],
        data=row["data"],
    )
