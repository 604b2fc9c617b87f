"""Pure choice of which unsequenced events may enter the feed now, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from coordination.kernel.events import Event

GAP_PATIENCE = timedelta(seconds=60)
"""How long an event waits for its predecessor before it is folded with a gap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """An event that has no feed position yet, by the id its row got before it was committed."""

    id: int
    event: Event

    @property
    def key(self) -> tuple[str, str]:
        """The object the event is about: its kind and name."""
        return self.event.object, self.event.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What enters the feed now, in order; what waits; and which objects got a version late."""

    ready: tuple[Pending, ...]
    held: tuple[Pending, ...]
    late: frozenset[tuple[str, str]]


def choose(
    pending: Iterable[Pending], *, versions: Mapping[tuple[str, str], int], now: datetime
) -> Choice:
    """Split `pending` so that events of one object go in version order and without a gap.

    An event whose predecessor is missing waits, and so do its successors, until it is older than
    `GAP_PATIENCE` by `now`. One that arrives after its place was given up is `late`.

    Args:
        pending: unsequenced events in any order.
        versions: the version each object's record stands at; absent is 0.
        now: the database's clock.
    """
    reached = dict(versions)
    ready: list[Pending] = []
    held: list[Pending] = []
    late: set[tuple[str, str]] = set()
    for candidate in sorted(pending, key=lambda item: (item.event.version, item.id)):
        key, version = candidate.key, candidate.event.version
        last = reached.get(key, 0)
        if version <= last:
            late.add(key)
        elif version > last + 1 and now - candidate.event.at <= GAP_PATIENCE:
            held.append(candidate)
            continue
        reached[key] = max(last, version)
        ready.append(candidate)
    return Choice(ready=_merged(ready), held=tuple(held), late=frozenset(late))


def _merged(ready: Sequence[Pending]) -> tuple[Pending, ...]:
    """Objects interleaved by id, each object's events in the version order they came in."""
    slots: dict[tuple[str, str], list[int]] = {}
    for item in sorted(ready, key=lambda item: -item.id):
        slots.setdefault(item.key, []).append(item.id)
    return tuple(sorted(ready, key=lambda item: slots[item.key].pop()))
