"""Pure fold of a counter's events into its record. No Django, no clock.

`apply` takes events in version order. A version it has folded already changes nothing. A history
may begin with any version: old events are pruned. Every event says all there is to know, so what
was lost before it only marks the record (`gap`) until the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from coordination.counters.record import Last, Record
from coordination.counters.types import KINDS
from coordination.kernel.events import Event

OBJECT = "counter"
"""What events of counters are about; their `name` is the key of a record."""
RESYNCED = "counter.resynced"
"""How a counter stands, where its events are missing."""
CHANGES = frozenset(KINDS.values())


def key_of(store: str, name: str, shard: int = 0) -> str:
    """The key of a record, and the name of its events; rows behind the first have a number."""
    return f"{store} {name} {shard}" if shard else f"{store} {name}"


def apply(record: Record | None, event: Event, seq: int = 0) -> Record:
    """The record after `event`, given the record before it (`None`: nothing was known).

    `seq` is the event's place in the feed, 0 when it has none.
    """
    era = era_of(event)
    before = record or Record(
        key=event.name, changed_at=event.at, version=event.version - 1, era=era
    )
    feed_seq = max(seq, before.feed_seq)
    if event.version <= before.version:
        return replace(before, feed_seq=feed_seq)
    skipped = event.version > before.version + 1 or era != before.era
    try:
        after = _folded(before, event, skipped=skipped)
    except (KeyError, TypeError, ValueError, OverflowError):
        after = replace(before, gap=True)
    return replace(after, version=event.version, feed_seq=feed_seq, era=era)


def span_of(event: Event) -> tuple[int, int]:
    """The first and the last version that a change made, by the store's count."""
    last = int(event.data.get("v", event.version))
    return int(event.data.get("first", last)), last


def era_of(event: Event) -> int:
    """Of the history an event is from; every loss of events begins another."""
    era = event.data.get("era", 0)
    return era if isinstance(era, int) else 0


def _folded(record: Record, event: Event, *, skipped: bool) -> Record:
    data = event.data
    if event.kind == RESYNCED:
        after = data["after"]
        value = None if after is None else int(after)
        return replace(record, value=value, writes=int(data["v"]), gap=False)
    if event.kind not in CHANGES:
        return replace(record, gap=record.gap or skipped)
    first, last = span_of(event)
    begin, end = int(data["before"]), int(data["after"])
    goes_on = first == record.writes + 1 and begin == record.shown
    changed = replace(
        record,
        value=end,
        writes=last,
        changed_at=event.at,
        gap=skipped and not goes_on,
        last=Last(
            kind=event.kind,
            op_id=str(data["id"]),
            before=begin,
            after=end,
            node=event.node,
            actor=event.actor,
            reason=str(data.get("reason", "")),
            count=last - first + 1,
        ),
        **_declared(data),
    )
    return changed.counting(event.at, last - first + 1)


def _declared(data: Mapping[str, Any]) -> dict[str, Any]:
    """What its caller declared it with; of who said nothing it is the default."""
    return {
        "initial": int(data.get("initial", 0)),
        "minimum": _bound(data.get("minimum")),
        "maximum": _bound(data.get("maximum")),
        "shards": int(data.get("shards", 1)),
    }


def _bound(said: Any) -> int | None:
    return None if said is None else int(said)
