"""Pure judgement of a counter's history: is its value the sum of what was asked for, each once?

The events are the store's own, in the store's own order; the state kept here is no record's and no
store's, so that a mistake there is found here. A row of a counter is judged by itself: each change
begins where the one before ended, with the next version, and no op id is counted twice. Where
events are missing, nothing is held against anybody until the next one tells how it stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from coordination.counters.projection import CHANGES, RESYNCED, era_of, span_of
from coordination.counters.types import Reading
from coordination.kernel.events import Event
from coordination.locks.types import moment

_EPOCH = moment(0)
_MICROSECOND = timedelta(microseconds=1)


class ViolationKind(StrEnum):
    """Which rule is broken."""

    CHAIN_BROKEN = "chain_broken"
    """A change began at another value than the one before had left."""
    DOUBLED = "op_doubled"
    """An op id was counted twice."""
    VERSION_SKIPPED = "version_skipped"
    """It was written without an event."""
    VERSION_FELL = "version_fell"
    """Its store had forgotten that it was written."""
    BOUND_CROSSED = "bound_crossed"
    """A change left it beyond a bound that it declared."""
    STRAYED = "changed_aside"
    """Its store has another value than its events come to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One broken rule with what shows it."""

    key: str
    """Of the row."""
    ordinal: int
    """Counts the findings of a row, from 1."""
    kind: ViolationKind
    sentence: str
    evidence: Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class Counts:
    """What was judged."""

    changes: int = 0
    op_ids: int = 0
    """Distinct ones."""
    by_hand: int = 0
    gaps: int = 0
    unreadable: int = 0
    last_change_us: int = 0


@dataclass(slots=True)
class Watch:
    """What is known of one row. JSON by `as_json` and `from_json`."""

    key: str
    version: int = 0
    """Of the last event that was judged."""
    era: int = 0
    known: bool = False
    """Whether value and writes are where its events left them."""
    value: int = 0
    writes: int = 0
    base: int = 0
    """Its value before the first change since it is known without a gap."""
    sum: int = 0
    """Of all changes since then, each op id once."""
    found: int = 0
    """How many rules were found broken."""

    def as_json(self) -> dict[str, Any]:
        """As JSON values, without key and version."""
        return {
            "era": self.era,
            "known": self.known,
            "value": self.value,
            "writes": self.writes,
            "base": self.base,
            "sum": self.sum,
            "found": self.found,
        }

    @classmethod
    def from_json(cls, key: str, version: int, said: Mapping[str, Any]) -> Watch:
        """The watch of what `as_json` gave."""
        return cls(key, version, **said)

    def stand(self, value: int, writes: int) -> None:
        """Take it to stand so, whatever was known."""
        self.known, self.value, self.writes = True, value, writes
        self.base, self.sum = value, 0


def judge(watch: Watch, event: Event, counts: Counts, *, doubled: str = "") -> list[Finding]:
    """Take one event, the next of its row, into `watch` and `counts`; which rules it breaks.

    One that was judged already changes nothing. The first of a history may have any version.

    Args:
        doubled: where the op id of this event was counted before; empty when it was not.
    """
    if event.version <= watch.version:
        return []
    era = era_of(event)
    if watch.version and (event.version > watch.version + 1 or era != watch.era):
        counts.gaps += 1
        watch.known = False
    watch.version, watch.era = event.version, era
    try:
        broken = list(_judged(watch, event, counts, doubled))
    except (KeyError, TypeError, ValueError, OverflowError):
        counts.unreadable += 1
        watch.known = False
        return []
    return [_finding(watch, event, *each) for each in broken]


def compare(watch: Watch, stands: Reading) -> Finding | None:
    """Whether its store, with all events judged, has what they come to; then it is taken over."""
    if not watch.known or (stands.version == watch.writes and stands.value == watch.value):
        return None
    evidence = {
        "store": {"value": stands.value, "version": stands.version},
        "events": {"value": watch.value, "version": watch.writes},
        "base": watch.base,
        "sum": watch.sum,
    }
    if stands.version == watch.writes:
        sentence = (
            f"its store has {stands.value:,}, but its {watch.writes:,} changes come to "
            f"{watch.value:,}: it was changed by {stands.value - watch.value:+,} past Concord"
        )
    elif stands.version < watch.writes:
        sentence = (
            f"its store knows of {stands.version:,} changes, but {watch.writes:,} were recorded: "
            "it was written past Concord"
        )
    else:
        sentence = (
            f"its store counts {stands.version:,} changes, but only {watch.writes:,} were "
            "recorded: it was written past Concord"
        )
    watch.found += 1
    finding = Finding(
        key=watch.key,
        ordinal=watch.found,
        kind=ViolationKind.STRAYED,
        sentence=sentence,
        evidence=evidence,
    )
    # What comes after it goes on from there, and is not to be blamed.
    watch.stand(stands.value, stands.version)
    return finding


_Broken = tuple[ViolationKind, str, dict[str, Any]]


def _judged(watch: Watch, event: Event, counts: Counts, doubled: str) -> Iterator[_Broken]:
    data = event.data
    if event.kind == RESYNCED:
        after = data["after"]
        watch.known = False
        if after is not None:
            watch.stand(int(after), int(data["v"]))
        return
    if event.kind not in CHANGES:
        return
    first, last = span_of(event)
    before, after = int(data["before"]), int(data["after"])
    doubled = doubled or ("a moment before" if data.get("doubled") else "")
    if watch.known:
        yield from _chain(watch, first=first, before=before, id_=str(data["id"]))
    if not watch.known or (watch.value, watch.writes + 1) != (before, first):
        watch.stand(before, first - 1)
    if doubled:
        what = f"op id {data['id']} was counted again at version {last}; it was {doubled}"
        yield ViolationKind.DOUBLED, what, {"id": data["id"], "amount": after - before}
        # Its effect stays in the value, and what follows is judged from there.
        watch.base += after - before
    else:
        watch.sum += after - before
    watch.value, watch.writes = after, last
    yield from _bounds(data, after, last)
    counts.changes += last - first + 1
    counts.op_ids += last - first + (0 if doubled else 1)
    counts.by_hand += bool(event.actor)
    counts.last_change_us = max(counts.last_change_us, _us(event))


def _chain(watch: Watch, *, first: int, before: int, id_: str) -> Iterator[_Broken]:
    told = {
        "id": id_,
        "left": {"value": watch.value, "version": watch.writes},
        "began": {"value": before, "version": first},
    }
    if first <= watch.writes:
        what = f"version {first:,} was written after version {watch.writes:,}: its store forgot it"
        yield ViolationKind.VERSION_FELL, what, told
    elif first > watch.writes + 1:
        what = (
            f"version {first:,} was written after version {watch.writes:,}, and nothing between "
            "was recorded"
        )
        yield ViolationKind.VERSION_SKIPPED, what, told
    elif before != watch.value:
        what = (
            f"version {first:,} began at {before:,}, but version {watch.writes:,} had left "
            f"{watch.value:,}: it was changed by {before - watch.value:+,} past Concord"
        )
        yield ViolationKind.CHAIN_BROKEN, what, told


def _bounds(data: Mapping[str, Any], after: int, version: int) -> Iterator[_Broken]:
    low, high = data.get("minimum"), data.get("maximum")
    if (low is not None and after < low) or (high is not None and after > high):
        what = f"version {version:,} left it at {after:,}, beyond what it was declared with"
        yield ViolationKind.BOUND_CROSSED, what, {"minimum": low, "maximum": high, "after": after}


def _finding(watch: Watch, event: Event, kind: ViolationKind, what: str, more: Any) -> Finding:
    watch.found += 1
    return Finding(
        key=watch.key,
        ordinal=watch.found,
        kind=kind,
        sentence=what,
        evidence={"version": event.version, "at": event.at.isoformat(), **more},
    )


def _us(event: Event) -> int:
    return (event.at - _EPOCH) // _MICROSECOND
