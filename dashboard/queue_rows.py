"""A queue as the dashboard shows it: one frozen row, from its record and its latest rates.

Pure. Times are milliseconds since the epoch. How it stands was sampled from its store, so a row
that is not sampled any more says nothing of now: its state is decided from the row and the moment
it is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Self

from coordination.queues.declaring import DEAD_LETTER_SUFFIX
from dashboard.globs import fits
from dashboard.limits import BACKING_UP_MS, QUEUE_BUSY_MS, QUEUE_SILENT_MS
from dashboard.rows import epoch_ms

if TYPE_CHECKING:
    from dashboard.filtering import Term

TOTALS: Final = (
    *("published", "acked", "died", "expired", "purged", "moved_in", "moved_out", "redriven"),
    *("delivered", "lapsed"),
)
CAME: Final = ("published", "moved_in", "redriven")
WENT: Final = ("acked", "died", "expired", "purged", "moved_out")
BUCKET_MS: Final = 10_000
"""Of the records: `coordination.queues.sampling.BUCKET_S`."""
_SEEN_STEP_MS: Final = 4_000


class QueueState(StrEnum):
    """What the pages call a queue's state."""

    DISPUTED = "disputed"
    """A rule was broken, and nobody has acknowledged it."""
    UNKNOWN = "unknown"
    """Nobody has sampled it lately: its store or the observer is silent."""
    PAUSED = "paused"
    DEAD = "dead"
    """It has dead letters, which wait for somebody."""
    BACKING_UP = "backing_up"
    """Its first ready message waits for long."""
    FLOWING = "flowing"
    IDLE = "idle"
    """Nothing is in it, and nothing was for a while."""
    LETTERS = "letters"
    """It keeps the dead letters of another queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketRow:
    """What came and went in some seconds, and how it stood then; None: not known."""

    at_ms: int
    came: int | None = None
    acked: int | None = None
    died: int | None = None
    ready: int | None = None
    in_flight: int | None = None
    oldest_ms: int | None = None

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        """From the record's columns."""
        return cls(
            at_ms=epoch_ms(row["start"]) or 0,
            came=row["published"],
            acked=row["acked"],
            died=row["died"],
            ready=row["ready"],
            in_flight=row["in_flight"],
            oldest_ms=row["oldest_ms"],
        )

    def wire(self) -> list[int | None]:
        """As JSON."""
        return [self.at_ms, self.came, self.acked, self.died, self.ready, self.in_flight]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """One queue."""

    key: str
    store: str
    name: str
    sampled_ms: int | None
    seen_ms: int | None
    ready: int
    grouped: int
    delayed: int
    in_flight: int
    dead: int
    oldest_ms: int | None
    publishing_paused: bool
    consuming_paused: bool
    max_length: int | None
    dead_letter: str
    options: Mapping[str, Any]
    extra: Mapping[str, Any]
    totals: Mapping[str, int] | None
    """None where the store does not count."""
    event_ms: int | None
    retried: int
    refused: int
    gap_ms: int | None
    disputed: str
    came: tuple[int | None, ...] = ()
    """Of each of the last buckets; None: not known."""
    acked: tuple[int | None, ...] = ()

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        """From a record's columns."""
        counts = all(row[word] is not None for word in TOTALS)
        return cls(
            key=row["key"],
            store=row["store"],
            name=row["name"],
            sampled_ms=epoch_ms(row["sampled_at"]),
            seen_ms=epoch_ms(row["seen_at"]),
            ready=row["ready"],
            grouped=row["grouped"],
            delayed=row["delayed"],
            in_flight=row["in_flight"],
            dead=row["dead"],
            oldest_ms=epoch_ms(row["oldest_at"]),
            publishing_paused=row["publishing_paused"],
            consuming_paused=row["consuming_paused"],
            max_length=row["max_length"],
            dead_letter=row["dead_letter"],
            options=row["options"],
            extra=row["extra"],
            totals={word: row[word] for word in TOTALS} if counts else None,
            event_ms=epoch_ms(row["event_at"]),
            retried=row["retried"],
            refused=row["refused"],
            gap_ms=epoch_ms(row["gap_at"]),
            disputed=row["disputed"],
        )

    def with_rates(self, buckets: Sequence[BucketRow]) -> Self:
        """The same with what came and went in its last buckets."""
        return replace(
            self,
            came=tuple(each.came for each in buckets),
            acked=tuple(each.acked for each in buckets),
        )

    @property
    def id(self) -> str:
        """What lists know it by."""
        return self.key

    @property
    def version(self) -> int:
        """Grows with each sample."""
        return self.seen_ms or 0

    @property
    def edition(self) -> object:
        """Another one whenever the row reads otherwise, and now and then while it is sampled."""
        return replace(
            self,
            sampled_ms=None,
            seen_ms=None if self.seen_ms is None else self.seen_ms // _SEEN_STEP_MS,
            options={},
            extra={},
            totals=None,
        )

    @property
    def held(self) -> int:
        """Messages in it, in whatever state."""
        return self.ready + self.delayed + self.in_flight

    @property
    def paused(self) -> bool:
        """Whether it takes or gives nothing."""
        return self.publishing_paused or self.consuming_paused

    @property
    def keeps_letters(self) -> bool:
        """Whether it is named as a dead letter queue."""
        return self.name.endswith(DEAD_LETTER_SUFFIX)

    @property
    def rank(self) -> int:
        """What needs somebody comes first, queues of dead letters last."""
        if self.disputed:
            return 0
        if self.keeps_letters:
            return 3
        return 1 if self.paused or self.dead else 2

    @property
    def order(self) -> tuple[int, str, str]:
        """Sort key: what needs somebody first, then by name."""
        return (self.rank, self.name, self.key)

    @property
    def missing(self) -> int | None:
        """Messages that came and are nowhere; None where nobody counts."""
        if self.totals is None:
            return None
        went = sum(self.totals[word] for word in WENT)
        return sum(self.totals[word] for word in CAME) - went - self.held

    def state_at(self, now_ms: int) -> QueueState:
        """The state in words."""
        if self.disputed:
            return QueueState.DISPUTED
        if self.seen_ms is None or now_ms - self.seen_ms > QUEUE_SILENT_MS:
            return QueueState.UNKNOWN
        if self.paused:
            return QueueState.PAUSED
        if self.keeps_letters:
            return QueueState.LETTERS
        if self.dead:
            return QueueState.DEAD
        if self.oldest_ms is not None and now_ms - self.oldest_ms > BACKING_UP_MS:
            return QueueState.BACKING_UP
        lately = self.event_ms is not None and now_ms - self.event_ms <= QUEUE_BUSY_MS
        if self.ready or self.in_flight or lately:
            return QueueState.FLOWING
        return QueueState.IDLE

    def answers(self, term: Term, now_ms: int) -> bool:
        """Whether a filter's condition is met, negation left aside."""
        match term.key:
            case "state":
                return self.state_at(now_ms) in term.values
            case "store":
                return self.store in term.values
            case "name":
                return fits(self.name, term.values)
            case "dead" | "ready":
                return term.admits(getattr(self, term.key))
            case _:
                return any(value.casefold() in self.key.casefold() for value in term.values)

    def wire(self) -> dict[str, Any]:
        """The row as lists send it."""
        return {
            "id": self.key,
            "v": self.version,
            "rank": self.rank,
            "store": self.store,
            "name": self.name,
            "seen": self.seen_ms,
            "ready": self.ready,
            "delayed": self.delayed,
            "in_flight": self.in_flight,
            "dead": self.dead,
            "oldest": self.oldest_ms,
            "publishing_paused": self.publishing_paused,
            "consuming_paused": self.consuming_paused,
            "letters": self.keeps_letters,
            "event": self.event_ms,
            "disputed": self.disputed,
            "counts": self.totals is not None,
            "came": self.came,
            "acked": self.acked,
        }

    def wire_full(self) -> dict[str, Any]:
        """The row as its own page needs it."""
        return self.wire() | {
            "sampled": self.sampled_ms,
            "grouped": self.grouped,
            "max_length": self.max_length,
            "dead_letter": self.dead_letter,
            "options": dict(self.options),
            "extra": dict(self.extra),
            "totals": self.totals and dict(self.totals),
            "missing": self.missing,
            "retried": self.retried,
            "refused": self.refused,
            "gap": self.gap_ms,
        }
