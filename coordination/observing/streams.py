"""Streams of events that stores keep themselves: what a page of one comes to. Pure.

Each shard of a store gives its events rising positions, in the order in which they happened. It may
forget its oldest events, and, after a failure, its newest too. Nothing is missing behind an event
that is still there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar


class Timed(Protocol):
    """An event, whatever it is about."""

    @property
    def at_us(self) -> int:
        """By the store's clock."""


Told = TypeVar("Told", bound=Timed)

# Without slots: Python 3.11 cannot make one that is frozen, generic and has them by its alias.


@dataclass(frozen=True, kw_only=True)
class Recorded(Generic[Told]):
    """One event where it stands in its shard."""

    position: int
    print: str
    """Short, and another one for another event: tells whether a position was given twice."""
    event: Told | None
    """None: nobody can read it."""
    of_nobody: bool = False
    """It is about nothing that has a name, and nothing is to be told of it."""


@dataclass(frozen=True, kw_only=True)
class Page(Generic[Told]):
    """Events of a shard in order, from the one at the position asked for, if it is there."""

    entries: Sequence[Recorded[Told]]
    begins: bool
    """Whether the shard has forgotten none of its oldest events."""
    more: bool
    """Whether there are more behind them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far the events of a shard were imported."""

    position: int = 0
    era: int = 0
    """Begins anew with each loss of events, so that everyone sees where some are missing."""
    missing: bool = False
    """Events were lost and the shard has not been looked at as a whole since."""
    print: str = ""
    """Of the event at `position`; empty when it is not known."""
    newest_us: int = 0
    """The latest time of an imported event."""
    floor_us: int = 0
    """While a history that was begun anew is read: events up to then were imported before."""

    def text(self) -> str:
        """All but the position, as the cursor's `epoch`."""
        lost = "missing" if self.missing else "whole"
        return f"{self.era}:{lost}:{self.print}:{self.newest_us}:{self.floor_us}"

    @classmethod
    def parse(cls, position: int, text: str) -> Place:
        """The place of a cursor's row."""
        era, lost, print_, newest, floor = text.split(":")
        return cls(
            position=position,
            era=int(era),
            missing=lost == "missing",
            print=print_,
            newest_us=int(newest),
            floor_us=int(floor),
        )


@dataclass(frozen=True, kw_only=True)
class Imported(Generic[Told]):
    """One event with the position and era it is imported under."""

    position: int
    era: int
    event: Told


def follow(place: Place, page: Page[Told]) -> tuple[Place, list[Imported[Told]]]:
    """The place after a page that was read from `place`, and which of its events are new."""
    entries = list(page.entries)
    again = entries[0] if entries and entries[0].position == place.position else None
    if place.position and (not entries or (again and place.print not in ("", again.print))):
        return _anew(place), []
    if again:
        del entries[0]
    elif entries and (place.position or not page.begins):
        place = _lost(place)
    imported: list[Imported[Told]] = []
    for entry in entries:
        if entry.event is None:
            place = _lost(place)
        place = replace(place, position=entry.position, print=entry.print)
        if entry.event is None or entry.of_nobody or entry.event.at_us <= place.floor_us:
            continue
        place = replace(place, newest_us=max(place.newest_us, entry.event.at_us), floor_us=0)
        imported.append(Imported(position=entry.position, era=place.era, event=entry.event))
    return place, imported


def _anew(place: Place) -> Place:
    """The store tells another history: from its beginning, but for what was imported already.

    It lost its newest events, or all, and gave their positions again. Only the time tells which of
    those before were imported: a store's clock that was set back as well hides some.
    """
    return replace(_lost(place), position=0, print="", floor_us=place.newest_us)


def _lost(place: Place) -> Place:
    return replace(place, era=place.era + 1, missing=True)
