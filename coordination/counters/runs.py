"""Pure: many changes of one counter as one event, so that a hot counter does not drown the feed.

A run is unbroken: each change begins where the one before ended, with the next version, and its op
id is not one that was there before. What is not so stays an event of its own, to be judged. Changes
made by hand, and the last few of a page, stay single too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from coordination.counters.foreign import CounterEvent, Imported

LAST_KEPT = 10
"""Of a counter and a page: these are shown one by one."""
SHORTEST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One change or an unbroken run of them: `last` says how it ended."""

    position: int
    era: int
    last: CounterEvent
    before: int
    first: int
    """The version that the first of them made."""
    doubled: bool = False
    """Its op id had been counted before."""

    @property
    def count(self) -> int:
        """How many changes it stands for."""
        return self.last.version - self.first + 1


def runs(imported: Sequence[Imported], *, known: Mapping[tuple[str, str], int]) -> list[Run]:
    """The same changes in fewer events, in the order of their positions.

    Args:
        known: counter and op id of changes in runs that were made before → until when the answer
            was to be remembered, in microseconds of the store's clock.
    """
    names: dict[str, list[Imported]] = {}
    for each in imported:
        names.setdefault(each.event.name, []).append(each)
    found = [run for each in names.values() for run in _of_one(each, known)]
    return sorted(found, key=lambda run: run.position)


def _of_one(imported: Sequence[Imported], known: Mapping[tuple[str, str], int]) -> Iterable[Run]:
    seen: set[str] = set()
    singles: list[Run] = []
    for each in imported:
        event = each.event
        until_us = known.get((event.name, event.id), 0)
        doubled = event.id in seen or event.at_us < until_us
        seen.add(event.id)
        singles.append(
            Run(
                position=each.position,
                era=each.era,
                last=event,
                before=event.before,
                first=event.version,
                doubled=doubled,
            )
        )
    cut = max(0, len(singles) - LAST_KEPT)
    group: list[Run] = []
    for run in singles[:cut]:
        if group and not _goes_on(group[-1], run):
            yield from _merged(group)
            group = []
        group.append(run)
    yield from _merged(group)
    yield from singles[cut:]


def _goes_on(one: Run, other: Run) -> bool:
    return (
        not (one.doubled or other.doubled or one.last.note.get("actor"))
        and not other.last.note.get("actor")
        and one.era == other.era
        and one.last.kind == other.last.kind
        and one.last.version + 1 == other.first
        and one.last.after == other.before
    )


def _merged(group: Sequence[Run]) -> Iterable[Run]:
    if len(group) < SHORTEST:
        return group
    begin, end = group[0], group[-1]
    return [
        Run(
            position=end.position,
            era=end.era,
            last=end.last,
            before=begin.before,
            first=begin.first,
        )
    ]
