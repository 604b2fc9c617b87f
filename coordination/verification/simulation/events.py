"""What a schedule was: a list of small events, to be drawn as a sequence diagram or printed."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from coordination.verification.simulation.faults import FaultKind


class EventKind(StrEnum):
    """How an event is drawn."""

    SENT = "sent"
    """An arrow leaves `who` for `whom`."""
    RECEIVED = "received"
    """An arrow arrives at `who`."""
    STEP = "step"
    """`who` has had a statement performed at `whom`."""
    STATE = "state"
    """`who` is now in a state: the next stretch of its lane."""
    TOLD = "told"
    """`who` learned the outcome."""
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Event:
    """One fact of a run. Times are virtual, in µs from the beginning."""

    at_us: int
    kind: EventKind
    who: str
    what: str
    whom: str = ""
    number: int = 0
    """Of a message: the same where it is sent and where it arrives."""
    fault: FaultKind | None = None

    def __str__(self) -> str:
        at = f"{self.at_us / 1000:12.3f} ms"
        mark = "!" if self.fault is not None else " "
        match self.kind:
            case EventKind.SENT:
                words = f"--> {self.whom}: {self.what} (message {self.number})"
            case EventKind.RECEIVED:
                words = f"<-- {self.whom}: {self.what} (message {self.number})"
            case EventKind.STEP:
                words = f"at {self.whom}: {self.what}"
            case EventKind.STATE:
                words = f"is {self.what}"
            case _:
                words = self.what
        return f"{at} {mark} {self.who:<12} {words}"


def printed(events: Iterable[Event]) -> str:
    """The events as text, one a line."""
    return "\n".join(str(event) for event in events)


def digest(events: Iterable[Event]) -> str:
    """A hash of the events: equal exactly if the runs were."""
    text = "\n".join(
        f"{e.at_us}|{e.kind.value}|{e.who}|{e.what}|{e.whom}|{e.number}|{e.fault}" for e in events
    )
    return hashlib.sha256(text.encode()).hexdigest()
